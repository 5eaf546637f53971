// Intel RAPL (also on AMD) through Linux powercap: /sys/class/powercap/intel-rapl:N and its
// subzones.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "energy/meter.h"

namespace frugal::energy {

struct RaplMeters {
  std::vector<std::unique_ptr<Meter>> packages;  // "cpu-package-0": one per package or die
  std::vector<std::unique_ptr<Meter>> dram;      // "dram-0": not part of a package's counter
  // Not in sums: parts of a package ("cpu-core-0", "cpu-uncore-0") and the whole platform around
  // the packages ("platform": psys), which may stand in where no package can be read.
  std::vector<std::unique_ptr<Meter>> parts;
  std::vector<std::unique_ptr<Meter>> platform;
  std::vector<Unavailable> unavailable;
};

// Zones below `root`. Each package is counted once: the MMIO interface repeats the MSR one, the
// zones core and uncore are parts of their package, psys covers all of them: those are shown beside
// and are in no sum. Every zone is read
// once here; one that cannot be read is unavailable. `dies_share_counter`: AMD's counter is one per
// package, and kernels that list it once per die repeat it.
RaplMeters find_rapl_meters(const std::filesystem::path& root, bool dies_share_counter,
                            const Clock& clock);

}  // namespace frugal::energy
