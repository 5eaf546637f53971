// A model of the CPU's energy for machines whose counters cannot be read (virtual machines,
// containers):
//   joules = CPU seconds of this process and its finished children × (TDP / threads) × load factor.
// Full load on every thread draws the load factor's share of the TDP; nothing is attributed to an
// idle machine. It misses frequency, vector units, memory and fans: good for comparing work on one
// machine, not for absolute claims.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "energy/hardware.h"
#include "energy/meter.h"

namespace frugal::energy {

// Watts per hardware thread where nothing is known about the CPU (CodeCarbon's fallback for unknown
// CPUs).
inline constexpr double kAssumedWattsPerThread = 4.0;

// `profile` needs tdp_watts and threads, else the default above is taken and said to be assumed.
// `cpu_seconds` is injectable for tests; absent: base::cpu_seconds.
std::unique_ptr<Meter> make_cpu_model_meter(const std::optional<HardwareProfile>& profile,
                                            const Clock& clock,
                                            std::function<double()> cpu_seconds = nullptr);

}  // namespace frugal::energy
