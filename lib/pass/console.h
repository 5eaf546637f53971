// What a run says on the terminal: one line per step.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "pass/plan.h"

namespace frugal::pass {

enum class OutputStyle { kText, kJson, kQuiet };

class Console {
 public:
  // `color`: the terminal understands it and the user wants it.
  Console(const Plan& plan, OutputStyle style, bool color);
  // `seconds`: the forecast of what is not in the cache, where every step of it has one.
  void begin(const std::string& run_folder, std::optional<double> seconds);
  // A unit is about to be made: what its plan wants known of it.
  void starts(size_t index);
  // `record`: a step_end of the journal.
  void step(size_t index, const base::Json& record);
  void failed(size_t index, std::string_view message);
  void line(std::string_view text);
  // A line of the journal, with --json.
  void event(const std::string& json);

 private:
  std::string head(size_t index) const;
  const Plan& plan_;
  OutputStyle style_;
  bool color_;
  size_t name_width_ = 0;
  size_t pass_width_ = 0;
};

// True when standard output is a terminal and NO_COLOR is unset or empty.
bool wants_color();

// "bits_per_weight 4.5, accuracy 0.81 [0.78, 0.84]": the first `count` known statistics of a step.
std::string key_statistics(const base::Json& statistics, size_t count);

// Four significant digits at most: "0.8125", "23.1", "1,234,567", "unknown".
std::string short_number(const base::Json& value);

}  // namespace frugal::pass
