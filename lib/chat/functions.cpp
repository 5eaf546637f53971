// Tested by: tests/chat/template_test.cpp
#include "chat/functions.h"

#include <algorithm>

#include "chat/arguments.h"
#include "chat/calendar.h"
#include "chat/operations.h"
#include "chat/printing.h"

namespace frugal::chat {
namespace {

using Entries = std::vector<std::pair<Value, Value>>;
using Body = absl::StatusOr<Value> (*)(Workspace&, const Arguments&, const std::optional<std::tm>&);

class Function : public Object {
 public:
  Function(std::string_view name, Body body, const std::optional<std::tm>& now)
      : name_(name), body_(body), now_(now) {}
  std::string_view type_name() const override { return "function"; }
  bool callable() const override { return true; }
  absl::StatusOr<Value> call(Workspace& workspace, const Arguments& arguments) override {
    return body_(workspace, arguments, now_);
  }

 private:
  std::string_view name_;
  Body body_;
  std::optional<std::tm> now_;
};

absl::StatusOr<Value> range(Workspace& workspace, const Arguments& arguments,
                            const std::optional<std::tm>&) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"start", "stop", "step"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t one, integer_or(bound[0], 0, "start"));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t two, integer_or(bound[1], 0, "stop"));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t step, integer_or(bound[2], 1, "step"));
  if (step == 0) return base::invalid_argument("range: the step must not be zero");
  Sequence made{.type = Sequence::Type::kRange,
                .start = bound[1] == nullptr ? 0 : one,
                .stop = bound[1] == nullptr ? one : two,
                .step = step};
  // Counted in 128 bits: the ends may lie apart further than 64 hold.
  const __int128 span = step > 0 ? static_cast<__int128>(made.stop) - made.start
                                 : static_cast<__int128>(made.start) - made.stop;
  const __int128 stride = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  const __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (count > kMaxRange)
    return base::resource_exhausted("a range of more than ", kMaxRange, " numbers");
  FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(count) * int64_t{sizeof(Value)}));
  int64_t value = made.start;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) {
    made.items.emplace_back(value);
    if (i + 1 < static_cast<int64_t>(count)) value += step;
  }
  return workspace.sequence(std::move(made));
}

// What dict(...) takes: a dictionary or pairs, then names.
absl::StatusOr<Entries> entries_of(Workspace& workspace, const Arguments& arguments) {
  Entries entries;
  if (arguments.positional.size() > 1)
    return base::invalid_argument("takes at most one argument without a name");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (const auto* dictionary = source.as<const Dictionary*>()) {
      entries = (*dictionary)->entries;
    } else {
      FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> items, to_vector(workspace, source));
      for (const Value& item : items) {
        FRUGAL_ASSIGN_OR_RETURN(const std::vector<Value> pair, to_vector(workspace, item));
        if (pair.size() != 2)
          return base::invalid_argument("needs pairs, found ", pair.size(), " values");
        FRUGAL_RETURN_IF_ERROR(set_key(workspace, entries, pair[0], pair[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.keywords) {
    FRUGAL_ASSIGN_OR_RETURN(const Value key, workspace.text(name));
    FRUGAL_RETURN_IF_ERROR(set_key(workspace, entries, key, value));
  }
  return entries;
}

absl::StatusOr<Value> dictionary(Workspace& workspace, const Arguments& arguments,
                                 const std::optional<std::tm>&) {
  absl::StatusOr<Entries> entries = entries_of(workspace, arguments);
  if (!entries.ok()) return base::annotate(entries.status(), "dict");
  return workspace.dictionary(*std::move(entries));
}

absl::StatusOr<Value> name_space(Workspace& workspace, const Arguments& arguments,
                                 const std::optional<std::tm>&) {
  const absl::StatusOr<Entries> entries = entries_of(workspace, arguments);
  if (!entries.ok()) return base::annotate(entries.status(), "namespace");
  FRUGAL_ASSIGN_OR_RETURN(Namespace * made, workspace.name_space());
  for (const auto& [key, value] : *entries) {
    if (!key.is<Text>())
      return base::unimplemented("namespace: an attribute whose name is a ", type_name(key));
    FRUGAL_RETURN_IF_ERROR(set_attribute(workspace, *made, key.text(), value));
  }
  return Value(made);
}

absl::StatusOr<Value> raise(Workspace& workspace, const Arguments& arguments,
                            const std::optional<std::tm>&) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"message"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const std::string message, to_text(workspace, *bound[0]));
  return base::invalid_argument("the template refuses the conversation: ", message);
}

absl::StatusOr<Value> date(Workspace& workspace, const Arguments& arguments,
                           const std::optional<std::tm>& now) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"format"}, 1));
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view format, text_or(bound[0], "", "format"));
  std::tm when{};
  if (now) {
    when = *now;
  } else {
    FRUGAL_ASSIGN_OR_RETURN(when, local_time());
  }
  FRUGAL_RETURN_IF_ERROR(workspace.charge(static_cast<int64_t>(format.size()) * 10));
  FRUGAL_ASSIGN_OR_RETURN(std::string text, format_date(format, when));
  return workspace.text(std::move(text));
}

class Cycler : public Object {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "Cycler"; }
  absl::StatusOr<std::optional<Value>> attribute(Workspace& workspace,
                                                 std::string_view name) override;

 private:
  friend class CyclerMethod;
  std::vector<Value> items_;
  size_t at_ = 0;
};

class CyclerMethod : public Object {
 public:
  CyclerMethod(Cycler& cycler, bool next) : cycler_(cycler), next_(next) {}
  std::string_view type_name() const override { return "method"; }
  bool callable() const override { return true; }
  absl::StatusOr<Value> call(Workspace&, const Arguments& arguments) override {
    FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
    if (!next_) {
      cycler_.at_ = 0;
      return Value();
    }
    const Value item = cycler_.items_[cycler_.at_];
    cycler_.at_ = (cycler_.at_ + 1) % cycler_.items_.size();
    return item;
  }

 private:
  Cycler& cycler_;
  bool next_;
};

absl::StatusOr<std::optional<Value>> Cycler::attribute(Workspace& workspace,
                                                       std::string_view name) {
  if (name == "current") return items_[at_];
  if (name != "next" && name != "reset") return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(Value method,
                          workspace.object(std::make_unique<CyclerMethod>(*this, name == "next")));
  return method;
}

absl::StatusOr<Value> cycler(Workspace& workspace, const Arguments& arguments,
                             const std::optional<std::tm>&) {
  if (!arguments.keywords.empty() || arguments.positional.empty())
    return base::invalid_argument("cycler: needs items, without names");
  return workspace.object(std::make_unique<Cycler>(arguments.positional));
}

class Joiner : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string_view type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  absl::StatusOr<Value> call(Workspace& workspace, const Arguments& arguments) override {
    FRUGAL_RETURN_IF_ERROR(bind(arguments, {}).status());
    if (std::exchange(used_, true)) return separator_;
    return workspace.text("");
  }

 private:
  Value separator_;
  bool used_ = false;
};

absl::StatusOr<Value> joiner(Workspace& workspace, const Arguments& arguments,
                             const std::optional<std::tm>&) {
  FRUGAL_ASSIGN_OR_RETURN(const Bound bound, bind(arguments, {"sep"}));
  FRUGAL_ASSIGN_OR_RETURN(const Value comma, workspace.text(", "));
  return workspace.object(std::make_unique<Joiner>(bound[0] == nullptr ? comma : *bound[0]));
}

absl::StatusOr<Value> lipsum(Workspace&, const Arguments&, const std::optional<std::tm>&) {
  return base::unimplemented("'lipsum' makes random text; it is not supported by frugal");
}

constexpr std::pair<std::string_view, Body> kFunctions[] = {
    {"cycler", cycler}, {"dict", dictionary},      {"joiner", joiner},
    {"lipsum", lipsum}, {"namespace", name_space}, {"raise_exception", raise},
    {"range", range},   {"strftime_now", date},
};

}  // namespace

absl::StatusOr<std::optional<Value>> find_function(Workspace& workspace, std::string_view name,
                                                   const std::optional<std::tm>& now) {
  const auto* found = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                   [&](const auto& function) { return function.first == name; });
  if (found == std::end(kFunctions)) return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(
      Value made, workspace.object(std::make_unique<Function>(found->first, found->second, now)));
  return made;
}

}  // namespace frugal::chat
