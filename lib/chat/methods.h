// Methods and other attributes of Python's str, list, tuple, dict and of what Jinja adds.
#pragma once

#include <optional>
#include <string_view>

#include "base/status.h"
#include "chat/value.h"

namespace frugal::chat {

// The attribute `name` of Python's object, not an item of it. Absent: it has none. Methods that
// would change a list or dictionary, and names between double underscores, are undefined, as the
// sandbox of Jinja has it. A method that frugal lacks is an error where it is called.
absl::StatusOr<std::optional<Value>> find_member(Workspace& workspace, const Value& object,
                                                 std::string_view name);

}  // namespace frugal::chat
