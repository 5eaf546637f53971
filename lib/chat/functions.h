// The functions that templates find without a definition: range, dict, namespace, cycler, joiner,
// raise_exception, strftime_now.
#pragma once

#include <ctime>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

// Absent: there is none of that name. `now`: local time for strftime_now; absent: the clock's.
absl::StatusOr<std::optional<Value>> find_function(Workspace& workspace, std::string_view name,
                                                   const std::optional<std::tm>& now);

}  // namespace frugal::chat
