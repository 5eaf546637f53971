// Hardware profiles (configs/hardware): power, embodied carbon and price of a machine or a part of
// it, with their source.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "energy/range.h"

namespace frugal::energy {

struct HardwareProfile {
  std::string name;                       // "NVIDIA H100 SXM"
  std::string kind;                       // "cpu", "gpu", "machine"
  std::string source;                     // where the numbers are from; required
  int64_t year = 0;                       // of the source; required
  std::optional<double> tdp_watts;        // thermal design power
  std::optional<double> idle_watts;       // drawn while it waits
  std::optional<int64_t> threads;         // hardware threads that share tdp_watts
  double load_factor = 1;                 // share of tdp_watts drawn at full load
  std::optional<Range> embodied_kg_co2e;  // manufacture, transport, end of life
  std::optional<double> lifetime_years;   // over which it is written off
  std::optional<Range> price;             // of purchase; list prices are one bound
  std::string currency;                   // "EUR"; required with price
};

// Strict: unknown, duplicate and missing keys are errors that name file, line and column.
absl::StatusOr<HardwareProfile> load_hardware(const std::filesystem::path& path);
absl::StatusOr<HardwareProfile> parse_hardware(std::string_view text, std::string_view where);

base::Json to_json(const HardwareProfile& profile);

}  // namespace frugal::energy
