#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "base/text.h"
#include "energy/recent_power.h"
#include "energy/window.h"

namespace frugal::energy {
namespace {

using base::str_cat;

// More than any package or board draws. A counter that seems to have run faster has been reset; and
// one that was not read for the time in which this power would fill it may have wrapped unseen.
constexpr double kMaxWatts = 2000;
constexpr double kShortestInterval = 0.1;  // seconds; below it a power is noise
constexpr double kUnknownWatts = std::numeric_limits<double>::quiet_NaN();

// What a measured window needs to be trusted (ML.ENERGY's advice for counters that move every 100
// ms).
constexpr double kShortWindowSeconds = 5;
constexpr double kFewUpdates = 50;

// Spaces between readings this many times longer than asked for are gaps in an integral.
constexpr double kLateFactor = 10;
// An integral of which more than this was bridged is not one: what independent integrals of the
// same trace are held to.
constexpr double kMostBridgedShare = 0.02;
// A counter and the integral of its power that differ by more are both in doubt.
constexpr double kCrossCheckShare = 0.1;

// The counter of one meter over its whole life.
struct Track {
  std::unique_ptr<Meter> meter;
  std::optional<Reading> last;
  int64_t wraps = 0;
  int64_t resets = 0;
  int64_t failures = 0;
  std::optional<double> watts;  // with the last reading
  RecentPower recent;

  absl::StatusOr<Reading> read() {
    absl::StatusOr<Reading> now = meter->read();
    if (!now.ok()) {
      ++failures;
      recent.lose();
      return now;
    }
    if (meter->info().sample_seconds) watts = meter->watts();
    if (last && now->raw < last->raw) ++(is_wrap(*last, *now) ? wraps : resets);
    last = *now;
    recent.note(meter->info(), *now, wraps);
    return now;
  }

  bool is_wrap(const Reading& before, const Reading& now) const {
    const MeterInfo& info = meter->info();
    if (!info.wrap_units || *info.wrap_units < before.raw) return false;
    const double joules =
        static_cast<double>(*info.wrap_units - before.raw + now.raw) * info.joules_per_unit;
    return joules <= kMaxWatts * std::max(now.seconds - before.seconds, kShortestInterval);
  }
};

// One meter as one running window sees it.
struct Progressing {
  MeterWindow window;
  absl::Status error;       // of the first reading
  int64_t first_wraps = 0;  // of the track when the window began
  int64_t first_resets = 0;
  int64_t seen_failures = 0;  // of the track at the latest reading
  std::optional<double> last_watts;
  double cross_joules = 0;
  bool cross_known = true;  // every reading had a power
  double last_seconds = 0;  // of the latest reading
  double longest_gap = 0;   // seconds between two readings
  Sample last_for_peak;
  size_t stride = 1, skipped = 0;

  void take(const Track& track) {
    if (!window.begin || !track.last) return;
    const double interval = track.last->seconds - last_seconds;
    longest_gap = std::max(longest_gap, interval);
    note_gap(track, interval);
    cross_check(track, interval);
    last_seconds = track.last->seconds;
    window.wraps = track.wraps - first_wraps;
    window.end = track.last;
    const std::optional<double> joules = joules_between(window);
    if (!joules || track.resets != first_resets) return;
    note(Sample{last_seconds - window.begin->seconds, *joules});
  }

  bool integrates() const { return window.info.sample_seconds && !window.info.update_seconds; }

  void note_gap(const Track& track, double interval) {
    const bool late = integrates() && interval > kLateFactor * *window.info.sample_seconds;
    if (track.failures == seen_failures && !late) return;
    seen_failures = track.failures;
    ++window.gaps;
    window.gap_seconds += interval;
  }

  void cross_check(const Track& track, double interval) {
    cross_known = cross_known && last_watts && track.watts;
    if (cross_known) cross_joules += (*last_watts + *track.watts) / 2 * interval;
    last_watts = track.watts;
  }

  void note(const Sample& sample) {
    const double rhythm = window.info.update_seconds.value_or(0);
    const double interval = sample.seconds - last_for_peak.seconds;
    // Two movements of the counter within an interval would be an error of half the power.
    if (interval >= std::max(kShortestInterval, 5 * rhythm)) {
      const double watts = (sample.joules - last_for_peak.joules) / interval;
      window.peak_watts = std::max(window.peak_watts.value_or(watts), watts);
      last_for_peak = sample;
    }
    if (++skipped < stride) return;
    skipped = 0;
    window.samples.push_back(sample);
    if (window.samples.size() < kMaxSamples) return;
    for (size_t i = 0; 2 * i + 1 < window.samples.size(); ++i)
      window.samples[i] = window.samples[2 * i + 1];
    window.samples.resize(window.samples.size() / 2);
    stride *= 2;
  }
};

std::string why_unknown(const Progressing& of, const absl::Status& last, int64_t resets) {
  const MeterWindow& window = of.window;
  if (!of.error.ok()) return str_cat("the first reading failed: ", of.error.message());
  if (!last.ok()) return str_cat("the last reading failed: ", last.message());
  if (resets != of.first_resets) {
    return "the counter went backwards: it was reset in between (driver reloaded, machine "
           "suspended)";
  }
  if (of.integrates() && window.gap_seconds > kMostBridgedShare * window.seconds) {
    return str_cat("its power was not told for ", base::format_duration(window.gap_seconds),
                   ", more than ", 100 * kMostBridgedShare, "% of the time");
  }
  if (window.info.wrap_units) {
    const double full = static_cast<double>(*window.info.wrap_units) * window.info.joules_per_unit;
    if (of.longest_gap * kMaxWatts > full) {
      return str_cat("the counter was not read for ", base::format_duration(of.longest_gap),
                     " and may have wrapped unseen");
    }
  }
  if (window.info.provenance == Provenance::kMeasured && window.begin->raw == window.end->raw &&
      window.wraps == 0) {
    return str_cat("the counter did not move within ", base::format_duration(window.seconds));
  }
  return "";
}

void warn_of_gaps(MeterWindow& window, bool integrates) {
  if (window.gaps == 0 || !window.joules) return;
  add_mark(kGaps, &window.marks);
  window.warnings.push_back(str_cat("readings failed or came late ", window.gaps, " times, for ",
                                    base::format_duration(window.gap_seconds), " in all: ",
                                    integrates
                                        ? "the power in between is a straight line"
                                        : "the counter counted on, the power over time has holes"));
}

void warn_if_counter_and_power_disagree(MeterWindow& window) {
  if (!window.joules || !window.integrated_joules) return;
  const double larger = std::max(*window.joules, *window.integrated_joules);
  if (std::abs(*window.joules - *window.integrated_joules) <= kCrossCheckShare * larger) return;
  add_mark(kDisagrees, &window.marks);
  window.warnings.push_back(str_cat("the energy counter says ", *window.joules,
                                    " J, the integral of the power ", *window.integrated_joules,
                                    " J"));
}

void warn_if_short(MeterWindow& window) {
  if (window.info.provenance != Provenance::kMeasured || !window.joules) return;
  const bool few = window.updates && *window.updates < kFewUpdates;
  if (window.seconds >= kShortWindowSeconds && !few) return;
  add_mark(kShort, &window.marks);
  std::string text = str_cat("a window of ", base::format_duration(window.seconds), " is short");
  if (window.updates)
    text += str_cat(" (the counter moved about ", std::llround(*window.updates), " times)");
  window.warnings.push_back(str_cat(text, ": at least ", kShortWindowSeconds, " s and ",
                                    kFewUpdates, " movements are wanted"));
}

MeterWindow conclude(Progressing of, const absl::Status& last, int64_t resets) {
  MeterWindow& window = of.window;
  const bool integrates = of.integrates();
  if (!last.ok()) window.end = std::nullopt;
  if (window.begin && window.end) window.seconds = window.end->seconds - window.begin->seconds;
  window.reason = why_unknown(of, last, resets);
  if (window.reason.empty()) window.joules = joules_between(window);
  if (window.joules && window.seconds > 0) window.mean_watts = *window.joules / window.seconds;
  if (!window.joules) {
    window.peak_watts = std::nullopt;
    window.samples.clear();
  }
  if (window.info.update_seconds && window.seconds > 0) {
    window.updates = std::floor(window.seconds / *window.info.update_seconds);
  } else if (integrates && window.seconds > 0) {
    window.updates = std::floor(window.seconds / *window.info.sample_seconds);
  }
  if (!integrates && of.cross_known && of.last_watts && window.joules)
    window.integrated_joules = of.cross_joules;
  warn_of_gaps(window, integrates);
  // A short window holds too few samples of a power that is itself a mean over a second.
  if (window.seconds >= kShortWindowSeconds) warn_if_counter_and_power_disagree(window);
  warn_if_short(window);
  return std::move(window);
}

}  // namespace

struct Window::State {
  std::shared_ptr<MeterSet::State> set;
  std::string name, begin_time;
  double begin_seconds = 0;
  std::vector<Progressing> meters;  // in the order of the set's tracks
};

struct MeterSet::State {
  const Clock* clock = nullptr;
  double sample_seconds = 0;
  std::vector<Unavailable> unavailable;

  std::mutex mutex;  // guards everything below
  std::vector<Track> tracks;
  std::vector<Window::State*> windows;  // running
  std::condition_variable wake;
  bool stopping = false;
  std::thread sampler;
  // Written with every reading, read without the mutex.
  std::atomic<double> recent_watts = kUnknownWatts;

  ~State() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    if (sampler.joinable()) sampler.join();
  }

  // Reads all counters and lets every running window see them. Caller holds the mutex.
  std::vector<absl::Status> read_all() {
    std::vector<absl::Status> out;
    for (size_t i = 0; i < tracks.size(); ++i) {
      out.push_back(tracks[i].read().status());
      if (!out.back().ok()) continue;
      for (Window::State* window : windows) window->meters[i].take(tracks[i]);
    }
    note_recent_watts();
    return out;
  }

  void note_recent_watts() {
    double sum = 0;
    bool any = false;
    for (const Track& track : tracks) {
      if (!track.meter->info().in_total) continue;
      any = true;
      sum += track.recent.watts().value_or(kUnknownWatts);
    }
    recent_watts = any ? sum : kUnknownWatts;
  }

  void start_sampler() {
    if (sample_seconds <= 0 || tracks.empty() || sampler.joinable()) return;
    sampler = std::thread([this] {
      std::unique_lock lock(mutex);
      while (!stopping) {
        wake.wait(lock, [this] { return stopping || !windows.empty(); });
        wake.wait_for(lock, std::chrono::duration<double>(sample_seconds),
                      [this] { return stopping; });
        if (!stopping && !windows.empty()) read_all();
      }
    });
  }
};

namespace {

// As often as the meters ask, and at least twice in the time in which a counter could wrap.
double quick_enough(double wanted, const std::vector<std::unique_ptr<Meter>>& meters) {
  for (const auto& meter : meters) {
    const MeterInfo& info = meter->info();
    if (wanted <= 0) continue;
    if (info.sample_seconds) wanted = std::min(wanted, *info.sample_seconds);
    if (!info.wrap_units) continue;
    const double full_seconds =
        static_cast<double>(*info.wrap_units) * info.joules_per_unit / kMaxWatts;
    wanted = std::min(wanted, std::max(full_seconds / 2, 0.01));
  }
  return wanted;
}

}  // namespace

MeterSet MeterSet::detect(const DetectOptions& options, const MeterSetOptions& set_options) {
  DetectOptions with_clock = options;
  if (with_clock.clock == nullptr) with_clock.clock = set_options.clock;
  Detected detected = detect_meters(with_clock);
  return MeterSet(std::move(detected.meters), std::move(detected.unavailable), set_options);
}

MeterSet::MeterSet(std::vector<std::unique_ptr<Meter>> meters, std::vector<Unavailable> unavailable,
                   const MeterSetOptions& options)
    : state_(std::make_shared<State>()) {
  state_->clock = options.clock == nullptr ? &system_clock() : options.clock;
  state_->sample_seconds = quick_enough(options.sample_seconds, meters);
  state_->unavailable = std::move(unavailable);
  for (auto& meter : meters) {
    Track track;
    track.meter = std::move(meter);
    state_->tracks.push_back(std::move(track));
  }
}

MeterSet::MeterSet(MeterSet&&) noexcept = default;
MeterSet& MeterSet::operator=(MeterSet&&) noexcept = default;
MeterSet::~MeterSet() = default;

std::vector<MeterInfo> MeterSet::meters() const {
  std::vector<MeterInfo> out;
  for (const Track& track : state_->tracks) out.push_back(track.meter->info());
  return out;
}

const std::vector<Unavailable>& MeterSet::unavailable() const { return state_->unavailable; }

base::Json MeterSet::describe() const { return to_json(meters(), unavailable()); }

Window MeterSet::begin(std::string_view name) {
  auto window = std::make_unique<Window::State>();
  window->set = state_;
  window->name = name;
  const std::lock_guard lock(state_->mutex);
  window->begin_time = state_->clock->utc_time();
  std::vector<base::Json> conditions;
  for (const Track& track : state_->tracks) conditions.push_back(track.meter->conditions());
  const std::vector<absl::Status> outcomes = state_->read_all();
  for (size_t i = 0; i < state_->tracks.size(); ++i) {
    const Track& track = state_->tracks[i];
    Progressing& meter = window->meters.emplace_back();
    meter.window.info = track.meter->info();
    meter.window.conditions_begin = std::move(conditions[i]);
    meter.error = outcomes[i];
    meter.first_wraps = track.wraps;
    meter.first_resets = track.resets;
    meter.seen_failures = track.failures;
    if (!outcomes[i].ok()) continue;
    meter.window.begin = track.last;
    meter.last_seconds = track.last->seconds;
    meter.last_watts = track.watts;
  }
  window->begin_seconds = state_->clock->seconds();
  state_->windows.push_back(window.get());
  state_->start_sampler();
  state_->wake.notify_all();
  return Window(std::move(window));
}

WindowResult MeterSet::measure_idle(double seconds) {
  Window window = begin("idle");
  state_->clock->sleep(seconds);
  return window.end();
}

void MeterSet::poll() {
  const std::lock_guard lock(state_->mutex);
  state_->read_all();
}

std::optional<double> MeterSet::recent_watts() const {
  const double watts = state_->recent_watts;
  if (!std::isfinite(watts)) return std::nullopt;
  return watts;
}

std::string MeterSet::recent_watts_text() const {
  const std::optional<double> watts = recent_watts();
  if (!watts) return "";
  const bool measured =
      std::all_of(state_->tracks.begin(), state_->tracks.end(), [](const Track& track) {
        const MeterInfo& info = track.meter->info();
        return !info.in_total || info.provenance == Provenance::kMeasured;
      });
  char text[32];
  std::snprintf(text, sizeof text, "%s%.*f W", measured ? "" : "~", *watts < 10 ? 1 : 0, *watts);
  return text;
}

Window::Window(std::unique_ptr<State> state) : state_(std::move(state)) {}
Window::Window(Window&&) noexcept = default;

Window& Window::operator=(Window&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

Window::~Window() {
  if (state_ == nullptr) return;
  const std::lock_guard lock(state_->set->mutex);
  std::erase(state_->set->windows, state_.get());
}

WindowResult Window::end() {
  WindowResult result;
  if (state_ == nullptr) return result;
  MeterSet::State& set = *state_->set;
  {
    const std::lock_guard lock(set.mutex);
    const double end_seconds = set.clock->seconds();
    const std::vector<absl::Status> outcomes = set.read_all();
    std::erase(set.windows, state_.get());
    result.name = state_->name;
    result.begin_time = state_->begin_time;
    result.end_time = set.clock->utc_time();
    result.seconds = end_seconds - state_->begin_seconds;
    for (size_t i = 0; i < set.tracks.size(); ++i) {
      MeterWindow window =
          conclude(std::move(state_->meters[i]), outcomes[i], set.tracks[i].resets);
      window.conditions_end = set.tracks[i].meter->conditions();
      result.meters.push_back(std::move(window));
    }
  }
  const std::unique_ptr<State> spent = std::move(state_);  // may hold the last reference to the set
  return result;
}

}  // namespace frugal::energy
