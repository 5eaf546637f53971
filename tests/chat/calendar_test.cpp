#include "chat/calendar.h"

#include "support/shared_data.h"

namespace frugal::chat {
namespace {

std::tm date(int year, int month, int day, int hour = 0, int minute = 0, int second = 0) {
  std::tm when{};
  when.tm_year = year - 1900;
  when.tm_mon = month - 1;
  when.tm_mday = day;
  when.tm_hour = hour;
  when.tm_min = minute;
  when.tm_sec = second;
  return when;
}

// The days of the week and the year are ours; the C library knows them, too.
TEST(Calendar, AgreesWithTheCLibraryOverFourCenturies) {
  constexpr const char* kFormat = "%A %a %B %b %d %e %j %m %y %H %I %M %S %p %u %w %F %T %%";
  for (int day = 0; day < 400 * 366; day += 11) {
    std::tm when = date(1850, 1, 1 + day, day % 24, day % 60, (day / 7) % 60);
    ASSERT_NE(timegm(&when), -2);  // brings the fields into their ranges
    char expected[256];
    ASSERT_GT(std::strftime(expected, sizeof(expected), kFormat, &when), 0u);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string text, format_date(kFormat, when));
    ASSERT_EQ(text, expected);
  }
}

TEST(Calendar, LeavesZerosOutWhereAsked) {
  EXPECT_EQ(format_date("%-d.%-m. %-H:%-M %-I%p é", date(2024, 2, 3, 4, 5)).value(),
            "3.2. 4:5 4AM é");
}

TEST(Calendar, NamesWhatItLacks) {
  const auto unimplemented = absl::StatusCode::kUnimplemented;
  FRUGAL_EXPECT_ERROR(format_date("%Y %G", date(2024, 1, 1)), unimplemented, "'%Y %G' ends in");
  FRUGAL_EXPECT_ERROR(format_date("%", date(2024, 1, 1)), unimplemented, "ends in");
  FRUGAL_EXPECT_ERROR(format_date("%-", date(2024, 1, 1)), unimplemented, "ends in");
  FRUGAL_EXPECT_ERROR(format_date("%d", date(2024, 13, 1)), absl::StatusCode::kInvalidArgument,
                      "month 13");
}

TEST(Calendar, TheClockGivesADate) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::tm now, local_time());
  EXPECT_GE(now.tm_year, 124);
  FRUGAL_EXPECT_OK(format_date("%F", now));
}

}  // namespace
}  // namespace frugal::chat
