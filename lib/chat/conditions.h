// Tests: `value is name(arguments)`.
#pragma once

#include <string_view>

#include "base/status.h"
#include "chat/filters.h"
#include "chat/value.h"

namespace frugal::chat {

Support test_support(std::string_view name);

// Errors name the test.
absl::StatusOr<bool> call_test(Workspace& workspace, std::string_view name, const Value& value,
                               const Arguments& arguments);

}  // namespace frugal::chat
