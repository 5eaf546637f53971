#include "base/log.h"

#include <atomic>

#include "base/progress.h"

namespace frugal::base {
namespace {

std::atomic<LogLevel> current_level{LogLevel::kInfo};

}  // namespace

void set_log_level(LogLevel level) { current_level = level; }
LogLevel log_level() { return current_level; }

void log_line(LogLevel level, std::string_view text) {
  if (level > log_level() || level == LogLevel::kQuiet) return;
  print_above_progress(level == LogLevel::kWarning ? str_cat("warning: ", text)
                                                   : std::string(text));
}

}  // namespace frugal::base
