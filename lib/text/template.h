// "{sentence}\nSentiment:": literal text with fields in braces; "{{" and "}}" are braces.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::text {

class Template {
 public:
  // Errors: a brace without its partner, an empty field name.
  static absl::StatusOr<Template> parse(std::string_view text);

  // The names of the fields, in order of appearance, each once.
  const std::vector<std::string>& fields() const { return fields_; }

  // `value(name)` gives each field's text.
  std::string fill(const std::function<std::string(const std::string&)>& value) const;

 private:
  struct Part {
    bool is_field;
    std::string text;
  };
  std::vector<Part> parts_;
  std::vector<std::string> fields_;
};

}  // namespace frugal::text
