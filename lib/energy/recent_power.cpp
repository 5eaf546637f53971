#include "energy/recent_power.h"

namespace frugal::energy {
namespace {

constexpr double kShortestSeconds = 0.9;  // readings of windows fall between those of the sampler
constexpr double kLongestSeconds = 10;

}  // namespace

void RecentPower::note(const MeterInfo& info, const Reading& reading, int64_t wraps) {
  if (begin_) {
    const double seconds = reading.seconds - begin_->seconds;
    if (seconds < kShortestSeconds) return;
    MeterWindow between;
    between.info = info;
    between.begin = begin_;
    between.end = reading;
    between.wraps = wraps - first_wraps_;
    const std::optional<double> joules = joules_between(between);
    watts_ = std::nullopt;
    if (joules && seconds <= kLongestSeconds) watts_ = *joules / seconds;
  }
  begin_ = reading;
  first_wraps_ = wraps;
}

void RecentPower::lose() {
  begin_ = std::nullopt;
  watts_ = std::nullopt;
}

}  // namespace frugal::energy
