#include "figures.h"

#include <cstdio>

namespace frugal::bench {
namespace {

void line(std::string_view name, std::string_view value, std::string_view unit,
          std::string_view state, std::string_view note) {
  std::string text = "@";
  for (const std::string_view part : {name, value, unit, state, note}) {
    text += '\t';
    for (const char c : part) text += c == '\t' || c == '\n' ? ' ' : c;
  }
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);  // what was measured stays, whatever comes next
}

}  // namespace

std::string digits(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g", value);
  return buffer;
}

void figure(std::string_view name, double value, std::string_view unit, std::string_view note) {
  line(name, digits(value), unit, "ok", note);
}

bool judged(std::string_view name, double value, std::string_view unit, bool passed,
            std::string_view note) {
  line(name, digits(value), unit, passed ? "ok" : "failed", note);
  return passed;
}

void skipped(std::string_view name, std::string_view reason) {
  line(name, "-", "-", "skipped", reason);
}

}  // namespace frugal::bench
