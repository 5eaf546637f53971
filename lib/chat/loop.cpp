// Tested by: tests/chat/template_test.cpp
#include "chat/loop.h"

#include "chat/arguments.h"
#include "chat/operations.h"

namespace frugal::chat {

// loop.cycle and loop.changed.
class LoopMethod : public Object {
 public:
  LoopMethod(Loop& loop, bool cycle) : loop_(loop), cycle_(cycle) {}
  std::string_view type_name() const override { return "method"; }
  bool callable() const override { return true; }

  absl::StatusOr<Value> call(Workspace& workspace, const Arguments& arguments) override {
    if (!arguments.keywords.empty())
      return base::invalid_argument("loop.cycle and loop.changed take no names");
    const std::vector<Value>& items = arguments.positional;
    if (!cycle_) return changed(workspace, items);
    if (items.empty()) return base::invalid_argument("loop.cycle: no items were given");
    return items[static_cast<size_t>(loop_.index0_) % items.size()];
  }

 private:
  absl::StatusOr<Value> changed(Workspace& workspace, const std::vector<Value>& items) {
    bool same = loop_.changed_ && loop_.changed_->size() == items.size();
    for (size_t i = 0; same && i < items.size(); ++i) {
      FRUGAL_ASSIGN_OR_RETURN(same, is_equal(workspace, (*loop_.changed_)[i], items[i]));
    }
    if (!same) loop_.changed_ = items;
    return Value(!same);
  }

  Loop& loop_;
  bool cycle_;
};

absl::StatusOr<std::optional<Value>> Loop::take(Workspace& workspace) {
  if (read_at_ < read_ahead_.size()) return read_ahead_[read_at_++];
  return source_.next(workspace);
}

absl::StatusOr<const std::optional<Value>*> Loop::peek(Workspace& workspace) {
  if (!peeked_) {
    FRUGAL_ASSIGN_OR_RETURN(next_, take(workspace));
    peeked_ = true;
  }
  return &next_;
}

absl::StatusOr<std::optional<Value>> Loop::advance(Workspace& workspace) {
  FRUGAL_RETURN_IF_ERROR(peek(workspace).status());
  if (!next_) return std::nullopt;
  peeked_ = false;
  ++index0_;
  previous_ = std::move(current_);
  current_ = std::move(next_);
  next_.reset();
  return current_;
}

absl::StatusOr<int64_t> Loop::length(Workspace& workspace) {
  if (length_) return *length_;
  while (true) {
    FRUGAL_ASSIGN_OR_RETURN(std::optional<Value> item, source_.next(workspace));
    if (!item) break;
    FRUGAL_RETURN_IF_ERROR(workspace.charge(sizeof(Value)));
    read_ahead_.push_back(*std::move(item));
  }
  const int64_t ahead = static_cast<int64_t>(read_ahead_.size() - read_at_);
  length_ = ahead + index0_ + 1 + (peeked_ && next_ ? 1 : 0);
  return *length_;
}

absl::StatusOr<std::optional<Value>> Loop::attribute(Workspace& workspace, std::string_view name) {
  if (name == "index0") return Value(index0_);
  if (name == "index") return Value(index0_ + 1);
  if (name == "first") return Value(index0_ == 0);
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") return previous_ ? *previous_ : undefined("there is no previous item");
  if (name == "last" || name == "nextitem") {
    FRUGAL_ASSIGN_OR_RETURN(const std::optional<Value>* next, peek(workspace));
    if (name == "last") return Value(!next->has_value());
    return next->has_value() ? **next : undefined("there is no next item");
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    FRUGAL_ASSIGN_OR_RETURN(const int64_t count, length(workspace));
    if (name == "length") return Value(count);
    return Value(count - index0_ - (name == "revindex0" ? 1 : 0));
  }
  if (name != "cycle" && name != "changed") return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(Value method,
                          workspace.object(std::make_unique<LoopMethod>(*this, name == "cycle")));
  return method;
}

absl::StatusOr<Value> Loop::call(Workspace&, const Arguments&) {
  return base::unimplemented(
      "'loop' is called, for which loops must be 'recursive', which is not supported by frugal");
}

}  // namespace frugal::chat
