// Lines of the table that `run` of the GPU bundle prints.
#pragma once

#include <string>
#include <string_view>

namespace frugal::bench {

// One line on the standard output: "@", name, value, unit, state and note with tabs between them.
void figure(std::string_view name, double value, std::string_view unit, std::string_view note = {});
// The same of a figure that has a bound; `passed` is handed back.
bool judged(std::string_view name, double value, std::string_view unit, bool passed,
            std::string_view note);
void skipped(std::string_view name, std::string_view reason);

// "93.1", "0.00214": four significant digits.
std::string digits(double value);

}  // namespace frugal::bench
