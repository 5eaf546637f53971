// Filters: `value | name(arguments)`.
#pragma once

#include <string_view>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

enum class Support {
  kSupported,
  kMissing,  // Jinja has it, frugal has not
  kUnknown   // nor has Jinja
};
Support filter_support(std::string_view name);

// Errors name the filter.
absl::StatusOr<Value> call_filter(Workspace& workspace, std::string_view name, const Value& value,
                                  const Arguments& arguments);

}  // namespace frugal::chat
