// A model of the CPU's energy for machines whose counters cannot be read (virtual machines,
// containers):
//   joules = CPU seconds of this process and its finished children × watts of a thread that works.
// The watts are TDP / threads of the CPU at hand (cpu_table.h), of its generation where its name is
// hidden, or assumed; nothing is attributed to an idle machine. It misses frequency, vector units,
// memory and fans: good for comparing work on one machine, and for absolute claims only with its
// range, which stands in MeterInfo::joules_per_unit_range.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "energy/cpu_identity.h"
#include "energy/hardware.h"
#include "energy/meter.h"

namespace frugal::energy {

// A `profile` with tdp_watts and threads is the user's word; else `cpu` is looked up. An unknown
// CPU is said to be assumed, in the provenance, too. `cpu_seconds` is injectable for tests; absent:
// base::cpu_seconds.
std::unique_ptr<Meter> make_cpu_model_meter(const std::optional<HardwareProfile>& profile,
                                            const CpuIdentity& cpu, const Clock& clock,
                                            std::function<double()> cpu_seconds = nullptr);

}  // namespace frugal::energy
