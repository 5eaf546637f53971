#include "pass/console.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "pass/table.h"

namespace frugal::pass {
namespace {

constexpr size_t kShownStatistics = 3;

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, text_width(text)), ' ');
}

// Mean power over the step: the sum over its meters, where every one of them is known.
std::string watts_text(const base::Json& record) {
  const auto energy = record.find("energy");
  if (energy == record.end() || !energy->is_object()) return "";
  const double seconds = energy->value("seconds", 0.0);
  const auto total = energy->find("total_joules");
  if (total == energy->end() || !total->is_object() || seconds <= 0) return "";
  const auto joules = total->find("value");
  if (joules == total->end() || !joules->is_number()) return "";
  char buffer[48];
  const double watts = joules->get<double>() / seconds;
  const bool modelled = total->value("provenance", "") != "measured";
  std::snprintf(buffer, sizeof buffer, "%s%.*f W", modelled ? "~" : "", watts < 10 ? 1 : 0, watts);
  return buffer;
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace

bool wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

std::string short_number(const base::Json& value) {
  if (!value.is_number()) return "unknown";
  const double number = value.get<double>();
  if (number == std::floor(number) && std::abs(number) < 1e15) {
    return base::format_count(static_cast<int64_t>(number));
  }
  if (std::abs(number) >= 1e4 && std::abs(number) < 1e15)
    return base::format_count(std::llround(number));
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g", number);
  return buffer;
}

std::string key_statistics(const base::Json& statistics, size_t count) {
  std::string out;
  size_t shown = 0;
  for (const base::Json& item : statistics) {
    const base::Json value = item.value("value", base::Json());
    if (!value.is_number()) continue;  // unknown: the report says so, one line has no room for it
    if (shown++ == count) break;
    const base::Json low = item.value("low", base::Json()), high = item.value("high", base::Json());
    const std::string unit = item.value("unit", "");
    out += base::str_cat(out.empty() ? "" : ", ", item.value("name", ""), " ", short_number(value));
    if (low.is_number() && high.is_number()) {
      out += base::str_cat(" [", short_number(low), ", ", short_number(high), "]");
    }
    if (!unit.empty()) out += " " + unit;
  }
  return out;
}

Console::Console(const Plan& plan, OutputStyle style, bool color)
    : plan_(plan), style_(style), color_(color) {
  for (const Unit& unit : plan.units) {
    name_width_ = std::max(name_width_, text_width(unit.name()));
    pass_width_ = std::max(pass_width_, text_width(unit.pass->info().name));
  }
}

void Console::begin(const std::string& run_folder, std::optional<double> seconds) {
  // Below a minute nobody wants to know before.
  const std::string forecast =
      seconds.value_or(0) < 60
          ? ""
          : base::str_cat("; about ", base::format_duration(*seconds), " by the forecast");
  line(base::str_cat(plan_.pipeline.name, ": ", plan_.units.size(),
                     plan_.units.size() == 1 ? " step" : " steps", ", into ", run_folder,
                     forecast));
}

void Console::starts(size_t index) {
  const Unit& unit = plan_.units[index];
  for (const std::string& note : unit.notes) line(base::str_cat("note: ", unit.name(), ": ", note));
}

std::string Console::head(size_t index) const {
  const std::string total = std::to_string(plan_.units.size());
  std::string number = std::to_string(index + 1);
  number.insert(0, total.size() - number.size(), ' ');
  const Unit& unit = plan_.units[index];
  return base::str_cat("[", number, "/", total, "] ", padded(unit.name(), name_width_), "  ",
                       padded(unit.pass->info().name, pass_width_), "  ");
}

void Console::step(size_t index, const base::Json& record) {
  if (style_ != OutputStyle::kText) return;
  const std::string seconds = record.value("cached", false)
                                  ? std::string("cached")
                                  : base::format_duration(record.value("seconds", 0.0));
  std::string out =
      head(index) + padded(seconds, 12) + padded(watts_text(record), 8) + "  " +
      key_statistics(record.value("statistics", base::Json::array()), kShownStatistics);
  out.erase(out.find_last_not_of(' ') + 1);
  if (color_ && record.value("cached", false)) out = "\x1b[2m" + out + "\x1b[0m";
  print(out);
}

void Console::failed(size_t index, std::string_view message) {
  if (style_ != OutputStyle::kText) return;
  print(base::str_cat(head(index), color_ ? "\x1b[31mFAILED\x1b[0m" : "FAILED", "  ", message));
}

void Console::line(std::string_view text) {
  if (style_ == OutputStyle::kText) print(text);
}

void Console::event(const std::string& json) {
  if (style_ == OutputStyle::kJson) print(json);
}

}  // namespace frugal::pass
