#include "grid/cpu_level.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "grid/instruction_sets.h"

namespace frugal::grid {
namespace {

constexpr char kVariable[] = "FRUGAL_CPU_LEVEL";

struct NamedLevel {
  std::string_view name;
  CpuLevel level;
};
constexpr std::array<NamedLevel, 4> kLevels = {{{"plain", CpuLevel::kPlain},
                                                {"avx2", CpuLevel::kAvx2},
                                                {"avx512", CpuLevel::kAvx512},
                                                {"avx512_bf16", CpuLevel::kAvx512Bf16}}};

CpuLevel level_of_this_cpu() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return CpuLevel::kPlain;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return CpuLevel::kAvx2;
  }
  return __builtin_cpu_supports("avx512bf16") ? CpuLevel::kAvx512Bf16 : CpuLevel::kAvx512;
#else
  return CpuLevel::kPlain;
#endif
}

absl::StatusOr<CpuLevel> allowed_level() {
  const char* wanted = std::getenv(kVariable);
  if (wanted == nullptr || *wanted == '\0') return level_of_this_cpu();
  const absl::StatusOr<CpuLevel> level = parse_cpu_level(wanted);
  if (!level.ok()) return base::annotate(level.status(), kVariable);
  return std::min(*level, level_of_this_cpu());
}

// Throws std::invalid_argument where the variable names no level: a process that did not ask
// cpu_level() first must not compute with other loops than it was told.
bool reaches(CpuLevel level) {
  const absl::StatusOr<CpuLevel> allowed = cpu_level();
  if (!allowed.ok()) throw std::invalid_argument(std::string(allowed.status().message()));
  return *allowed >= level;
}

}  // namespace

absl::StatusOr<CpuLevel> parse_cpu_level(std::string_view name) {
  std::vector<std::string> names;
  for (const NamedLevel& known : kLevels) {
    if (known.name == name) return known.level;
    names.emplace_back(known.name);
  }
  return base::invalid_argument("unknown CPU level '", name, "'", base::suggestion(name, names));
}

std::string_view cpu_level_name(CpuLevel level) { return kLevels[static_cast<size_t>(level)].name; }

absl::StatusOr<CpuLevel> cpu_level() {
  static const absl::StatusOr<CpuLevel> level = allowed_level();
  return level;
}

bool has_avx2() { return reaches(CpuLevel::kAvx2); }
bool has_avx512() { return reaches(CpuLevel::kAvx512); }
bool has_avx512_bf16() { return reaches(CpuLevel::kAvx512Bf16); }

}  // namespace frugal::grid
