#include "tasks/field.h"

#include <algorithm>

#include "chat/printing.h"
#include "tasks/python_literal.h"

namespace frugal::tasks {
namespace {

using base::Json;

constexpr chat::Dialect kDialect{
    .kind = "template", .trim_blocks = false, .keep_last_newline = true, .strict = true};

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string python_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_null()) return "None";
  if (value.is_number_float()) return chat::represent_float(value.get<double>());
  return value.dump();
}

absl::StatusOr<DocField> DocField::make(const Field& field, std::string_view name) {
  DocField result;
  result.name_ = name;
  result.field_ = field;
  if (field.is_string()) {
    FRUGAL_ASSIGN_OR_RETURN(
        result.template_,
        chat::Template::parse(field.get_ref<const std::string&>(), name, kDialect));
  }
  return result;
}

const Json* DocField::value(const Json& document, const Columns& columns) const {
  if (!field_.is_string()) return &field_;
  const std::string& name = field_.get_ref<const std::string&>();
  if (!columns.contains(name) && !document.contains(name)) return nullptr;
  static const Json kNone;
  const auto found = document.find(name);
  return found == document.end() ? &kNone : &*found;
}

absl::StatusOr<std::string> DocField::render(const Json& document) const {
  FRUGAL_ASSIGN_OR_RETURN(chat::Rendered rendered, template_->render_variables(document));
  return std::move(rendered.text);
}

absl::StatusOr<std::string> DocField::text(const Json& document, const Columns& columns) const {
  const Json* given = value(document, columns);
  if (given == nullptr) return render(document);
  if (given->is_string()) return given->get<std::string>();
  return base::invalid_argument(name_, ": the column holds ", given->dump().substr(0, 100),
                                ", expected text");
}

absl::StatusOr<Json> DocField::target(const Json& document, const Columns& columns,
                                      bool numbered) const {
  if (const Json* given = value(document, columns)) return *given;
  FRUGAL_ASSIGN_OR_RETURN(std::string text, render(document));
  if (numbered && is_digits(text) && text.size() < 10) return Json(std::stoll(text));
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    // As in the original, what only looks like a list stays a text.
    if (absl::StatusOr<Json> list = parse_python_literal(text); list.ok()) return *std::move(list);
  }
  return Json(std::move(text));
}

absl::StatusOr<std::vector<std::string>> DocField::choices(const Json& document,
                                                           const Columns& columns) const {
  Json list;
  if (const Json* given = value(document, columns)) {
    list = *given;
  } else {
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, render(document));
    absl::StatusOr<Json> parsed = parse_python_literal(text);
    if (!parsed.ok())
      return base::invalid_argument(name_, " gives '", text.substr(0, 100),
                                    "', expected a list of texts: ", parsed.status().message());
    list = *std::move(parsed);
  }
  std::vector<std::string> result;
  for (const Json& item : list.is_array() ? list : Json::array()) {
    if (item.is_string()) result.push_back(item.get<std::string>());
  }
  if (!list.is_array() || result.empty() || result.size() != list.size())
    return base::invalid_argument(name_, " gives ", list.dump().substr(0, 100),
                                  ", expected a list of texts");
  return result;
}

}  // namespace frugal::tasks
