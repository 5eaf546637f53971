// CPUs with their thermal design power (configs/cpus.yaml, built in), and what a hardware thread of
// the one at hand draws when it works.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "energy/cpu_identity.h"
#include "energy/range.h"

namespace frugal::energy {

struct CpuPart {
  std::string name;  // "AMD EPYC 7763"
  int64_t year = 0;  // of its launch
  int64_t cores = 0, threads = 0;
  double tdp_watts = 0;
  std::optional<double> max_watts;  // what the socket may draw for long, where the maker says so
};

struct CpuGeneration {
  std::string name;                         // "AMD EPYC 9004 (Genoa)"
  std::string vendor;                       // as CpuIdentity::vendor
  int64_t family = 0;                       // as CpuIdentity::family
  int64_t first_model = 0, last_model = 0;  // as CpuIdentity::model
  std::string source;                       // of the parts' numbers
  std::vector<CpuPart> parts;               // not empty
};

struct CpuTable {
  std::vector<CpuGeneration> generations;
};

// Strict: unknown, duplicate and missing keys, impossible values, models that two generations
// claim are errors that name file, line and column.
absl::StatusOr<CpuTable> parse_cpu_table(std::string_view text, std::string_view where);
const CpuTable& built_in_cpus();

// The share of the TDP that a machine draws for each unit of its load, above what it draws at rest:
// 0.90 when all of it works, 2.0 when a tenth does. From the curve 0.12, 0.32, 0.75, 1.02 of TDP at
// 0, 10, 50, 100% load (B. Davy, Teads Engineering: Estimating AWS EC2 instances power consumption,
// 2021), which other loads lie between.
inline constexpr Range kLoadShare{(1.02 - 0.12) / 1.0, (0.32 - 0.12) / 0.1};

// Watts of a hardware thread that works. Independent sources of doubt (which part it is, how loaded
// the rest of the machine is, whether a guest's thread is a whole core) are factors, and combine by
// the root of the sum of their squared logarithms.
struct ThreadPower {
  double watts = 0;
  Range range;
  std::string basis;  // a sentence part: "280 W / 128 threads of AMD EPYC 7763 (source, year)"
  enum class Match { kPart, kGeneration, kUnknown } match = Match::kUnknown;
};
ThreadPower thread_power(const CpuIdentity& cpu, const CpuTable& table = built_in_cpus());

// Of a part whose power and threads are known; `load_factor` is taken as the expected share.
ThreadPower thread_power_of(double tdp_watts, int64_t threads, double load_factor,
                            std::string_view basis);

// Watts per hardware thread where nothing is known about the CPU (CodeCarbon's fallback for unknown
// CPUs). Its range is that of all parts in the table.
inline constexpr double kAssumedWattsPerThread = 4.0;

}  // namespace frugal::energy
