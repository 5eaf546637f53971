// Sites (configs/sites): the grid a machine is fed from, its overhead and price, each with source
// and year.
//
//   name: Germany 2023
//   region: DE
//   intensity:                   # location-based: what the grid of the place emits
//     grams_per_kwh: 381
//     kind: average              # average or marginal
//     year: 2023
//     source: …
//   market_intensity: …          # optional, of the contract: same keys
//   pue: { value: 1.58, year: 2023, source: … }
//   water: { liters_per_kwh: 0.2, year: 2024, source: … }                # optional, of the cooling
//   price: { per_kwh: 0.25, currency: EUR, year: 2024, source: … }     # optional
//   hardware: ../hardware/example.yaml                                 # optional, for embodied
//   carbon and cost
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "energy/hardware.h"

namespace frugal::energy {

struct Intensity {
  double grams_per_kwh = 0;  // gCO2e per kWh
  std::string kind;          // "average" or "marginal"
  int64_t year = 0;
  std::string source;
};

struct Effectiveness {
  double value = 1;  // power usage effectiveness: total over computing energy, >= 1
  int64_t year = 0;
  std::string source;
};

// Water that the site itself uses for each kWh of its computers (WUE); that of the power plants is
// not in it.
struct WaterUse {
  double liters_per_kwh = 0;
  int64_t year = 0;
  std::string source;
};

struct Price {
  double per_kwh = 0;
  std::string currency;
  int64_t year = 0;
  std::string source;
};

struct Site {
  std::string name;
  std::string region;
  Intensity intensity;
  std::optional<Intensity> market_intensity;
  Effectiveness pue;
  std::optional<WaterUse> water;
  std::optional<Price> price;
  std::optional<HardwareProfile> hardware;
  std::string hardware_file;  // as the site file names it; empty: none
};

// Strict: unknown, duplicate and missing keys, wrong types and impossible values are errors that
// name file, line and column; all of them at once.
absl::StatusOr<Site> load_site(const std::filesystem::path& path);
// `folder`: what `hardware` is relative to.
absl::StatusOr<Site> parse_site(std::string_view text, std::string_view where,
                                const std::filesystem::path& folder);
// `load`: gives the profile that `hardware` names.
absl::StatusOr<Site> parse_site(
    std::string_view text, std::string_view where,
    const std::function<absl::StatusOr<HardwareProfile>(const std::string& name)>& load);

base::Json to_json(const Site& site);

}  // namespace frugal::energy
