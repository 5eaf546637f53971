#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <mutex>
#include <vector>

#include "base/progress_gauge.h"
#include "base/text.h"

namespace frugal::base {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kRedrawSeconds = 0.1;
constexpr double kPlainSeconds = 10;
constexpr std::string_view kEraseLine = "\r\x1b[K";

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Cuts at `columns` characters without cutting a character of UTF-8 in two.
std::string_view cut(std::string_view text, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (seen++ == columns) return text.substr(0, i);
  }
  return text;
}

size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) return size.ws_col - 1;
  return 79;
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

std::string rate_text(double per_second, std::string_view unit) {
  char number[32];
  if (per_second >= 100) {
    return str_cat(format_count(std::llround(std::min(per_second, 1e15))), " ", unit, "/s");
  }
  std::snprintf(number, sizeof number, per_second >= 10 ? "%.0f" : "%.2g", per_second);
  return str_cat(number, " ", unit, "/s");
}

}  // namespace

struct Progress::State {
  std::string title, unit, note;
  int64_t total = 0;
  int64_t done = 0;
  Clock::time_point begin = Clock::now();
  Clock::time_point drawn = begin;
};

namespace {

// What stands on standard error. Guarded by `mutex`, as are the states it points to.
struct Screen {
  std::mutex mutex;
  ProgressStyle style = ProgressStyle::kAutomatic;
  bool line_visible = false;
  std::vector<const void*> running;  // outermost first; the innermost is shown
  std::string line;                  // what a redraw would print
  std::function<std::string()> gauge;

  ProgressStyle resolved() const {
    if (style != ProgressStyle::kAutomatic) return style;
    return ::isatty(STDERR_FILENO) == 1 ? ProgressStyle::kTerminal : ProgressStyle::kPlain;
  }
  void erase() {
    if (!line_visible) return;
    print(kEraseLine);
    line_visible = false;
  }
  void show() {
    print(str_cat(kEraseLine, cut(line, terminal_columns())));
    std::fflush(stderr);
    line_visible = true;
  }
};

Screen& screen() {
  static auto* const kScreen = new Screen;  // outlives every static that may still log
  return *kScreen;
}

std::string note_of(const Screen& screen, const std::string& note) {
  const std::string gauge = screen.gauge ? screen.gauge() : "";
  return gauge.empty() || note.empty() ? gauge + note : str_cat(gauge, "  ", note);
}

template <typename State>
void redraw(State& state, bool at_once) {
  Screen& to = screen();
  if (to.running.back() != &state) return;
  const ProgressStyle style = to.resolved();
  if (style == ProgressStyle::kSilent) return;
  const bool plain = style == ProgressStyle::kPlain;
  if (seconds_since(state.drawn) < (plain ? kPlainSeconds : kRedrawSeconds) &&
      (plain || !at_once)) {
    return;
  }
  state.drawn = Clock::now();
  to.line = progress_text(state.title, state.unit, state.done, state.total,
                          seconds_since(state.begin), note_of(to, state.note));
  if (plain) {
    print(str_cat(to.line, "\n"));
  } else {
    to.show();
  }
}

}  // namespace

void set_progress_style(ProgressStyle style) {
  const std::lock_guard lock(screen().mutex);
  screen().erase();
  screen().style = style;
}

void set_progress_gauge(std::function<std::string()> gauge) {
  const std::lock_guard lock(screen().mutex);
  screen().gauge = std::move(gauge);
}

Progress::Progress(std::string_view title, std::string_view unit, int64_t total)
    : state_(std::make_unique<State>()) {
  state_->title = title;
  state_->unit = unit;
  state_->total = total;
  const std::lock_guard lock(screen().mutex);
  screen().running.push_back(state_.get());
  redraw(*state_, true);
}

// An outer progress draws itself again with its next step.
Progress::~Progress() {
  const std::lock_guard lock(screen().mutex);
  std::erase(screen().running, state_.get());
  screen().erase();
}

void Progress::advance(int64_t amount) {
  const std::lock_guard lock(screen().mutex);
  state_->done += amount;
  redraw(*state_, state_->done == state_->total);
}

void Progress::note(std::string_view text) {
  const std::lock_guard lock(screen().mutex);
  state_->note = text;
  redraw(*state_, false);
}

double Progress::elapsed_seconds() const { return seconds_since(state_->begin); }

void print_above_progress(std::string_view text) {
  const std::lock_guard lock(screen().mutex);
  const bool back = screen().line_visible;
  screen().erase();
  print(str_cat(text, "\n"));
  if (back) screen().show();
}

double seconds_left(int64_t done, int64_t total, double elapsed_seconds) {
  if (done <= 0 || total <= 0 || !(elapsed_seconds >= 0)) return -1;
  if (done >= total) return 0;
  return elapsed_seconds * static_cast<double>(total - done) / static_cast<double>(done);
}

std::string progress_text(std::string_view title, std::string_view unit, int64_t done,
                          int64_t total, double elapsed_seconds, std::string_view note) {
  std::string out = str_cat(title, ": ", format_count(done));
  if (total > 0) out += str_cat("/", format_count(total));
  out += str_cat(" ", unit);
  if (total > 0) {
    const double share = static_cast<double>(done) / static_cast<double>(total);
    out += str_cat("  ", std::clamp<int64_t>(static_cast<int64_t>(100 * share), 0, 100), "%");
  }
  if (done > 0 && elapsed_seconds > 0) {
    out += str_cat("  ", rate_text(static_cast<double>(done) / elapsed_seconds, unit));
  }
  if (const double left = seconds_left(done, total, elapsed_seconds); left > 0) {
    out += str_cat("  ", format_duration(left), " left");
  }
  if (!note.empty()) out += str_cat("  ", note);
  return out;
}

}  // namespace frugal::base
