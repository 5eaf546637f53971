// Reading JSON whose shape is not under our control: an absent, null or ill-typed member is the
// fallback, never an exception. Internal to the room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/json.h"

namespace frugal::report {

// The member, or null where `object` is no object or lacks it.
base::Json any_at(const base::Json& object, std::string_view key);

std::string text_at(const base::Json& object, std::string_view key, std::string_view fallback = "");
double number_at(const base::Json& object, std::string_view key, double fallback = 0);
int64_t integer_at(const base::Json& object, std::string_view key);
bool flag_at(const base::Json& object, std::string_view key, bool fallback);
base::Json list_at(const base::Json& object, std::string_view key);  // empty where it is no list
base::Json object_at(const base::Json& object,
                     std::string_view key);  // empty where it is no object

}  // namespace frugal::report
