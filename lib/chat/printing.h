// Values as Python writes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

// str(value). Errors: what Python would print with an address of its memory; a text larger than the
// workspace allows.
absl::StatusOr<std::string> to_text(Workspace& workspace, const Value& value);
// repr(value). Errors: as to_text.
absl::StatusOr<std::string> represent(Workspace& workspace, const Value& value);

// repr of a float: the shortest digits that read back, "1e+16", "inf".
std::string represent_float(double value);
// repr of a str: in single quotes unless it has such and no double ones.
std::string represent_text(std::string_view text);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; absent: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
// json.dumps. Errors: values that JSON has not (undefined among them), keys that cannot be sorted.
absl::StatusOr<std::string> to_json(Workspace& workspace, const Value& value,
                                    const JsonStyle& style);

}  // namespace frugal::chat
