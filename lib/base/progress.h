// Progress of long work: share done, rate, time left. On a terminal one line that is redrawn; in a
// pipe plain lines at a calm rhythm (about every 10 s). Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace frugal::base {

enum class ProgressStyle { kAutomatic, kTerminal, kPlain, kSilent };
// For the whole process; kAutomatic asks isatty(2).
void set_progress_style(ProgressStyle style);

class Progress {
 public:
  // `title`: "quantize small/q4_k"; `unit`: "layers", "tokens", "items"; total 0 = unknown.
  Progress(std::string_view title, std::string_view unit, int64_t total);
  ~Progress();  // erases the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t amount = 1);
  // A short text behind the numbers, e.g. "loss 2.31" or "layer 3 q_proj 0.41%".
  void note(std::string_view text);
  double elapsed_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Writes `text` and a newline to standard error; a progress line on a terminal makes room and
// returns. For base/log.h.
void print_above_progress(std::string_view text);

// "quantize small/q4_k: 12/128 layers  9%  0.8 layers/s  2 min 25 s left  loss 2.31". Exposed for
// tests.
std::string progress_text(std::string_view title, std::string_view unit, int64_t done,
                          int64_t total, double elapsed_seconds, std::string_view note);

// Seconds for the remaining work at the average rate so far; negative where unknown. Exposed for
// tests.
double seconds_left(int64_t done, int64_t total, double elapsed_seconds);

}  // namespace frugal::base
