// The power of one meter at the moment, from readings that were made anyway: for a line of
// progress. Internal to the room.
#pragma once

#include <optional>

#include "energy/window.h"

namespace frugal::energy {

class RecentPower {
 public:
  // The next reading of the meter; `wraps`: how often its counter has begun anew so far.
  void note(const MeterInfo& info, const Reading& reading, int64_t wraps);
  // The reading failed.
  void lose();

  // The mean over the latest second or so between two readings. Absent before the second of them,
  // after a failed one, and where they lie so far apart that it would tell nothing of the moment.
  std::optional<double> watts() const { return watts_; }

 private:
  std::optional<Reading> begin_;
  int64_t first_wraps_ = 0;
  std::optional<double> watts_;
};

}  // namespace frugal::energy
