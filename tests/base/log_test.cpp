#include "base/log.h"

#include <gtest/gtest.h>

#include "base/progress.h"

namespace frugal::base {
namespace {

std::string logged_at(LogLevel level) {
  set_log_level(level);
  testing::internal::CaptureStderr();
  warn("disk ", 3);
  info("step ", std::string_view("two"));
  debug("detail");
  set_log_level(LogLevel::kInfo);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, PrintsWhatTheLevelAllows) {
  EXPECT_EQ(logged_at(LogLevel::kQuiet), "");
  EXPECT_EQ(logged_at(LogLevel::kWarning), "warning: disk 3\n");
  EXPECT_EQ(logged_at(LogLevel::kInfo), "warning: disk 3\nstep two\n");
  EXPECT_EQ(logged_at(LogLevel::kDebug), "warning: disk 3\nstep two\ndetail\n");
}

TEST(Log, ProgressLineMakesRoomAndReturns) {
  testing::internal::CaptureStderr();
  set_progress_style(ProgressStyle::kTerminal);
  {
    Progress progress("prune", "layers", 4);
    info("a word");
  }
  set_progress_style(ProgressStyle::kAutomatic);
  const std::string erase = "\r\x1b[K";
  EXPECT_EQ(testing::internal::GetCapturedStderr(), erase + "prune: 0/4 layers  0%" + erase +
                                                        "a word\n" + erase +
                                                        "prune: 0/4 layers  0%" + erase);
}

}  // namespace
}  // namespace frugal::base
