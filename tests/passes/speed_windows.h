// Windows of made numbers, for tests of what the measure pass says of them.
#pragma once

#include "energy/fakes.h"
#include "passes/measure/speed.h"

namespace frugal::passes {

inline energy::WindowResult made_energy(double joules, double net,
                                        energy::MeterInfo info = energy::fake_info("gpu-0")) {
  energy::WindowResult window;
  energy::MeterWindow meter;
  meter.info = std::move(info);
  meter.joules = joules;
  meter.net_joules = net;
  window.meters.push_back(meter);
  return window;
}

// Ten runs of `seconds` and `joules` each, of which half is idle.
inline PhaseWindow made_window(double seconds, double joules) {
  return {10, std::vector<double>(10, seconds), std::vector<double>(40, seconds / 4),
          made_energy(10 * joules, 5 * joules)};
}

}  // namespace frugal::passes
