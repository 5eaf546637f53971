#include <ATen/core/grad_mode.h>

#include <atomic>
#include <cmath>
#include <optional>
#include <thread>
#include <vector>

#include "base/text.h"
#include "energy/detect.h"
#include "figures.h"
#include "parts.h"
#include "stopwatch.h"
#include "tensor/aten.h"
#include "tensor/device.h"
#include "tensor/guard.h"

namespace frugal::bench {
namespace {

constexpr double kSettle = 3, kIdle = 3;  // seconds; drivers average power over one
constexpr double kRhythm = 0.02;          // seconds between samples
// NVIDIA promises 5% for the power reading and says nothing of the counter: as much again for it.
constexpr double kTolerance = 0.10;

// Multiplies on a device until finish().
class Load {
 public:
  explicit Load(const at::Device& device) : thread_([this, device] { run(device); }) {}
  ~Load() {
    if (thread_.joinable()) (void)finish();
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  absl::Status finish() {
    stop_ = true;
    thread_.join();
    return status_;
  }

 private:
  void run(const at::Device& device) {
    status_ = tensor::guarded("the load", [&] {
      const at::NoGradGuard no_grad;
      const int64_t n = device.is_cpu() ? 512 : 8192;
      const at::ScalarType type = device.is_cpu() ? at::kFloat : at::kBFloat16;
      const at::Tensor a = at::ones({n, n}, at::device(device).dtype(type));
      at::Tensor out = at::empty_like(a);
      while (!stop_) {
        for (int i = 0; i < 8; ++i) at::mm_out(out, a, a);
        wait_for(device);  // or the queue would grow without end
      }
    });
  }

  std::atomic<bool> stop_ = false;
  absl::Status status_;
  std::thread thread_;  // last: it uses the others
};

// Between the first and the last movement of the counter inside a span.
struct Energy {
  double seconds = 0;
  double counted = 0;     // joules of the counter
  double integrated = 0;  // of the samples of power, by trapezoids
  int64_t samples = 0, moves = 0;
  double watts() const { return counted / seconds; }
};

std::optional<double> watts_now(energy::Meter& meter) {
  const base::Json conditions = meter.conditions();
  const auto found = conditions.find("power_watts");
  return found == conditions.end() ? std::nullopt : std::optional(found->get<double>());
}

absl::StatusOr<Energy> watch(energy::Meter& meter, double seconds) {
  const energy::Clock& clock = energy::system_clock();
  Energy result, upto;  // `upto`: to the last movement
  std::optional<energy::Reading> first, last;
  std::optional<double> earlier_watts;
  double earlier = 0;
  for (const double end = clock.seconds() + seconds; clock.seconds() < end; clock.sleep(kRhythm)) {
    FRUGAL_ASSIGN_OR_RETURN(const energy::Reading now, meter.read());
    const std::optional<double> watts = watts_now(meter);
    if (!watts) return base::failed(meter.info().scope, " does not tell its power");
    const bool moved = last.has_value() && now.raw != last->raw;
    if (first && earlier_watts)
      result.integrated += (now.seconds - earlier) * 0.5 * (*watts + *earlier_watts);
    if (moved && !first) first = now;
    ++result.samples;
    if (moved && first) {
      result.seconds = now.seconds - first->seconds;
      result.counted = static_cast<double>(now.raw - first->raw) * meter.info().joules_per_unit;
      ++result.moves;
      upto = result;
    }
    earlier_watts = watts;
    earlier = now.seconds;
    last = now;
  }
  if (upto.moves < 3 || upto.seconds <= 0) {
    return base::failed(meter.info().scope, ": its counter moved ", upto.moves, " times in ",
                        digits(seconds), " seconds, too few to compare");
  }
  return upto;
}

// The GPU's meter. Where there are several: the one that draws most while the load runs.
absl::StatusOr<energy::Meter*> busiest(const std::vector<std::unique_ptr<energy::Meter>>& meters) {
  energy::Meter* best = nullptr;
  double most = -1;
  for (const auto& meter : meters) {
    if (meter->info().domain != energy::Domain::kGpu) continue;
    const double watts = watts_now(*meter).value_or(0);
    if (watts <= most) continue;
    most = watts;
    best = meter.get();
  }
  if (best == nullptr) return base::not_found("no GPU has an energy counter that can be read");
  return best;
}

bool compare(const std::string& when, const Energy& energy) {
  const double ratio = energy.counted / energy.integrated;
  figure(when + ", mean power by the counter", energy.watts(), "W");
  figure(when + ", mean power by samples", energy.integrated / energy.seconds, "W",
         base::str_cat(energy.samples, " samples, the counter moved ", energy.moves, " times in ",
                       digits(energy.seconds), " s"));
  return judged(when + ", counter / integrated power", ratio, "", std::abs(ratio - 1) <= kTolerance,
                base::str_cat("expected 1 within ", digits(100 * kTolerance), "%"));
}

}  // namespace

absl::StatusOr<bool> check_energy(const std::string& device_name, double seconds) {
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(device_name));
  const energy::Detected found = energy::detect_meters({.cpu = false, .dram = false});
  energy::Meter* meter = nullptr;
  Energy working;
  {
    Load load(device);
    energy::system_clock().sleep(kSettle);
    const auto chosen = busiest(found.meters);
    if (!chosen.ok()) {
      std::string reasons;
      for (const energy::Unavailable& missing : found.unavailable)
        reasons += base::str_cat("; ", missing.name, ": ", missing.reason);
      return base::not_found(base::as_std(chosen.status().message()), reasons);
    }
    meter = *chosen;
    FRUGAL_ASSIGN_OR_RETURN(working, watch(*meter, seconds));
    FRUGAL_RETURN_IF_ERROR(load.finish());
  }
  energy::system_clock().sleep(kSettle);
  FRUGAL_ASSIGN_OR_RETURN(const Energy idle, watch(*meter, kIdle));
  const bool agrees = compare("at work", working);
  figure("idle, mean power by the counter", idle.watts(), "W",
         base::str_cat(digits(idle.integrated / idle.seconds), " W by samples; ",
                       meter->info().scope));
  return agrees;
}

}  // namespace frugal::bench
