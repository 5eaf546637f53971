// Messages for the person at the terminal, on standard error. Results go to standard output and
// never through here.
#pragma once

#include <string>
#include <string_view>

#include "base/text.h"

namespace frugal::base {

enum class LogLevel { kQuiet, kWarning, kInfo, kDebug };

void set_log_level(LogLevel level);
LogLevel log_level();

// Clears a running progress line, prints "warning: …" or the plain text, and lets the progress line
// return.
void log_line(LogLevel level, std::string_view text);

template <typename... Parts>
void warn(const Parts&... parts) {
  log_line(LogLevel::kWarning, str_cat(parts...));
}
template <typename... Parts>
void info(const Parts&... parts) {
  log_line(LogLevel::kInfo, str_cat(parts...));
}
template <typename... Parts>
void debug(const Parts&... parts) {
  log_line(LogLevel::kDebug, str_cat(parts...));
}

}  // namespace frugal::base
