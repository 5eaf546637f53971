// Dates as strftime writes them, in English whatever the locale.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::chat {

// `when`: year, month, day, hour, minute and second; the days of the week and year follow.
// Errors: a directive that frugal lacks, by name; a date that is none.
absl::StatusOr<std::string> format_date(std::string_view format, const std::tm& when);

// The local time of now. Errors: the clock gives none.
absl::StatusOr<std::tm> local_time();

}  // namespace frugal::chat
