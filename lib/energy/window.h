// Windows over meters: a beginning, an end, and what every counter did between them. Windows may
// nest and overlap.
//
//   energy::MeterSet meters = energy::MeterSet::detect({});
//   energy::Window window = meters.begin("quantize");
//   …
//   const energy::WindowResult result = window.end();
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "energy/detect.h"
#include "energy/meter.h"

namespace frugal::energy {

// Where a counter stood some time into the window; for the figure of power over time.
struct Sample {
  double seconds = 0;  // since the beginning
  double joules = 0;   // since the beginning
};

// What one meter says about one window. Everything derived can be computed again from `begin`,
// `end` and `wraps`.
struct MeterWindow {
  MeterInfo info;
  std::optional<Reading> begin, end;  // absent: that read failed
  int64_t wraps = 0;                  // times the counter began anew in between
  std::optional<double> joules;       // gross; absent: unknown, and `reason` says why
  std::string reason;
  double seconds = 0;  // between the two readings
  std::optional<double> mean_watts;
  std::optional<double> peak_watts;  // highest mean between two samples; absent without samples
  std::optional<double> updates;     // how often the counter moved in between, by its known rhythm
  std::optional<double> idle_watts;  // set by apply_idle
  std::optional<double> net_joules;  // gross less idle_watts × seconds; set by apply_idle
  std::vector<Sample> samples;       // fewer than kMaxSamples, evenly thinned
  base::Json conditions_begin = base::Json::object();
  base::Json conditions_end = base::Json::object();
  std::vector<std::string> warnings;  // sentences
  // What makes the joules less sure, in a few fixed words: see kShort and its like. They stay on
  // everything that is computed from the window.
  std::vector<std::string> marks;
  // Spaces between two readings in which one failed or came far too late; a counter counts on in
  // them, a power is bridged by a straight line.
  int64_t gaps = 0;
  double gap_seconds = 0;
  // The integral of what the device says of its power: the cross-check of its counter.
  std::optional<double> integrated_joules;
};

inline constexpr std::string_view kShort = "short window";
inline constexpr std::string_view kGaps = "readings failed";
inline constexpr std::string_view kDisagrees = "counter and power disagree";
inline constexpr std::string_view kRestless = "machine not at rest";
inline constexpr std::string_view kBelowIdle = "less than idle";

inline constexpr size_t kMaxSamples = 240;

struct WindowResult {
  std::string name;
  std::string begin_time, end_time;  // ISO 8601, UTC
  double seconds = 0;
  std::vector<MeterWindow> meters;

  // The sum over all meters, as good as its weakest part; unknown where one of them is. Gross and
  // net of idle power.
  Figure total_joules() const;
  Figure total_net_joules() const;
};

// Joules from a pair of readings: (end − begin + wraps · wrap_units) · joules_per_unit, exact in
// the raw unit before the last product. Absent where a reading is, or the counter went backwards.
std::optional<double> joules_between(const MeterWindow& window);

// What `joules` may be as well by the range of the meter's model; absent where it has none or the
// joules are unknown. And the same of net_joules, of which idle power takes no part.
std::optional<Range> joules_range(const MeterWindow& window);
std::optional<Range> net_joules_range(const MeterWindow& window);

// Idle power of the whole-device meters, from a window in which nothing ran; `after` may be absent.
struct IdlePower {
  std::string meter;
  std::optional<double> watts;  // mean of both windows where both know it
  std::optional<double> before_watts, after_watts;
};
std::vector<IdlePower> idle_power(const WindowResult& before, const WindowResult* after = nullptr);

// Fills idle_watts and net_joules. Meters of this process only have no idle part: their net is
// their gross. Warns where the idle power before and after differ by more than a tenth, and where
// the net is negative.
void apply_idle(WindowResult& result, const std::vector<IdlePower>& idle);

base::Json to_json(const WindowResult& result);
absl::StatusOr<WindowResult> window_from_json(const base::Json& json, std::string_view where);
// Computes every derived number of a stored window again from its raw readings. Errors: DataLoss
// naming the first one that differs (by more than rounding, 1e-9 relative).
absl::Status verify_window(const WindowResult& result, std::string_view where);

class MeterSet;

// A running window; destroying it without `end` forgets it.
class Window {
 public:
  Window(Window&&) noexcept;
  Window& operator=(Window&&) noexcept;
  ~Window();
  // Reads the counters again. Call once.
  WindowResult end();

 private:
  friend class MeterSet;
  struct State;
  explicit Window(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct MeterSetOptions {
  const Clock* clock = nullptr;  // absent: the system's
  // A thread reads all counters at this rhythm while a window runs: for wraps, peak power and power
  // over time. It is made quicker where a counter would wrap too fast for it. 0: no thread; `poll`
  // is then the caller's.
  double sample_seconds = 1.0;
};

// All meters of a run. Thread-safe.
class MeterSet {
 public:
  // The meters of this machine (energy/detect.h). Never fails: what is absent stands in
  // unavailable() with its reason.
  static MeterSet detect(const DetectOptions& options, const MeterSetOptions& set_options = {});

  MeterSet(std::vector<std::unique_ptr<Meter>> meters, std::vector<Unavailable> unavailable,
           const MeterSetOptions& options);
  MeterSet(MeterSet&&) noexcept;
  MeterSet& operator=(MeterSet&&) noexcept;
  ~MeterSet();

  std::vector<MeterInfo> meters() const;
  const std::vector<Unavailable>& unavailable() const;
  base::Json describe() const;  // to_json of both

  Window begin(std::string_view name);
  // A window over `seconds` of doing nothing.
  WindowResult measure_idle(double seconds);
  // Reads every counter now. Only needed without the thread.
  void poll();
  // The power of all meters that sums count, over the latest second or so between two readings that
  // were made anyway: for a line of progress. No counter is read and nothing is locked. Absent
  // while a window has not yet seen two of them, and where one of the meters is unknown.
  std::optional<double> recent_watts() const;
  // "34 W", "~34 W" where a meter does not measure, "" where it is absent.
  std::string recent_watts_text() const;

 private:
  friend class Window;
  struct State;
  std::shared_ptr<State> state_;  // running windows keep it alive
};

}  // namespace frugal::energy
