#include "text/template.h"

#include <algorithm>

namespace frugal::text {

absl::StatusOr<Template> Template::parse(std::string_view text) {
  Template result;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) result.parts_.push_back({false, std::move(literal)});
    literal.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '{' && c != '}') {
      literal.push_back(c);
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == c) {
      literal.push_back(c);
      ++i;
      continue;
    }
    const size_t end = text.find('}', i + 1);
    if (c == '}' || end == text.npos) {
      return base::invalid_argument("template '", text, "': a '", std::string(1, c),
                                    "' without its partner at byte ", i,
                                    "; write '{{' or '}}' for a brace");
    }
    const std::string name(text.substr(i + 1, end - i - 1));
    if (name.empty() || name.find('{') != name.npos) {
      return base::invalid_argument("template '", text, "': no field name at byte ", i);
    }
    flush();
    result.parts_.push_back({true, name});
    if (std::find(result.fields_.begin(), result.fields_.end(), name) == result.fields_.end()) {
      result.fields_.push_back(name);
    }
    i = end;
  }
  flush();
  return result;
}

std::string Template::fill(const std::function<std::string(const std::string&)>& value) const {
  std::string out;
  for (const Part& part : parts_) out += part.is_field ? value(part.text) : part.text;
  return out;
}

}  // namespace frugal::text
