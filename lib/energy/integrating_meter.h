// Energy of a device that tells its power only: the trapezoid over all samples, from one reading to
// the next. Equal values in a row are samples like others: a device at constant power has drawn
// some.
//
// The integral is as good as its rhythm. Whoever reads it keeps to MeterInfo::sample_seconds
// (MeterSet's thread does), and longer spaces between two samples are gaps that mark the window.
#pragma once

#include <functional>
#include <memory>

#include "energy/meter.h"

namespace frugal::energy {

// How often a power is asked for: the rhythm of the slowest counter that moves by itself.
inline constexpr double kPowerSampleSeconds = 0.1;

struct PowerSource {
  std::function<absl::StatusOr<double>()> watts;
  std::function<base::Json()> conditions;  // may be empty
};

// `info` needs name, scope, domain and method; unit, factor and rhythm are set here.
std::unique_ptr<Meter> make_integrating_meter(MeterInfo info, PowerSource source,
                                              const Clock& clock);

}  // namespace frugal::energy
