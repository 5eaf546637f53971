#include "chat/calendar.h"

#include <array>
#include <cstdio>

namespace frugal::chat {
namespace {

constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                   "May",       "June",     "July",     "August",
                                   "September", "October",  "November", "December"};
constexpr int kDaysBefore[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};

bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

// 1 for January 1st.
int day_of_year(int year, int month, int day) {
  return kDaysBefore[month] + day + (month > 1 && is_leap(year) ? 1 : 0);
}

// 0 for Sunday.
int day_of_week(int year, int day_in_year) {
  const int before = year - 1;
  return (before * 365 + before / 4 - before / 100 + before / 400 + day_in_year) % 7;
}

std::string number(const char* format, int value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

int hour_of_twelve(int hour) { return hour % 12 == 0 ? 12 : hour % 12; }

absl::Status check(const std::tm& when) {
  const int year = when.tm_year + 1900;
  if (year < 1 || year > 9999 || when.tm_mon < 0 || when.tm_mon > 11 || when.tm_mday < 1 ||
      when.tm_mday > 31 || when.tm_hour < 0 || when.tm_hour > 23 || when.tm_min < 0 ||
      when.tm_min > 59 || when.tm_sec < 0 || when.tm_sec > 61)
    return base::invalid_argument("the date given for a chat template is none: year ", year,
                                  ", month ", when.tm_mon + 1, ", day ", when.tm_mday);
  return absl::OkStatus();
}

// Of "%d" and the like, `bare` after a '-': without zeros in front.
std::string field(char directive, bool bare, const std::tm& when) {
  const int year = when.tm_year + 1900;
  const int in_year = day_of_year(year, when.tm_mon, when.tm_mday);
  const char* two = bare ? "%d" : "%02d";
  switch (directive) {
    case 'A':
      return kDays[day_of_week(year, in_year)];
    case 'a':
      return std::string(kDays[day_of_week(year, in_year)]).substr(0, 3);
    case 'B':
      return kMonths[when.tm_mon];
    case 'b':
    case 'h':
      return std::string(kMonths[when.tm_mon]).substr(0, 3);
    case 'd':
      return number(two, when.tm_mday);
    case 'e':
      return number(bare ? "%d" : "%2d", when.tm_mday);
    case 'F':
      return number("%d", year) + number("-%02d", when.tm_mon + 1) + number("-%02d", when.tm_mday);
    case 'H':
      return number(two, when.tm_hour);
    case 'I':
      return number(two, hour_of_twelve(when.tm_hour));
    case 'j':
      return number(bare ? "%d" : "%03d", in_year);
    case 'M':
      return number(two, when.tm_min);
    case 'm':
      return number(two, when.tm_mon + 1);
    case 'p':
      return when.tm_hour < 12 ? "AM" : "PM";
    case 'S':
      return number(two, when.tm_sec);
    case 'T':
      return number("%02d", when.tm_hour) + number(":%02d", when.tm_min) +
             number(":%02d", when.tm_sec);
    case 'u':
      return number("%d", (day_of_week(year, in_year) + 6) % 7 + 1);
    case 'w':
      return number("%d", day_of_week(year, in_year));
    case 'Y':
      return number("%d", year);
    case 'y':
      return number(two, year % 100);
    case '%':
      return "%";
    default:
      return "";
  }
}

}  // namespace

absl::StatusOr<std::string> format_date(std::string_view format, const std::tm& when) {
  FRUGAL_RETURN_IF_ERROR(check(when));
  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      out += format[at];
      continue;
    }
    const bool bare = format.substr(at + 1).starts_with("-");
    at += bare ? 2 : 1;
    const std::string text = at < format.size() ? field(format[at], bare, when) : "";
    if (text.empty())
      return base::unimplemented("the date format '", format.substr(0, at + 1),
                                 "' ends in a directive that is not supported by frugal");
    out += text;
  }
  return out;
}

absl::StatusOr<std::tm> local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm when{};
  if (localtime_r(&now, &when) == nullptr) return base::failed("the clock gives no local time");
  return when;
}

}  // namespace frugal::chat
