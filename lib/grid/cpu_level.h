// How much of this CPU the loops may use, and the switch that limits it.
#pragma once

#include <string_view>

#include "base/status.h"

namespace frugal::grid {

// Each level holds those before it.
enum class CpuLevel {
  kPlain,      // what every x86-64 CPU has; other architectures have nothing else
  kAvx2,       // and FMA
  kAvx512,     // F, BW, DQ, VL
  kAvx512Bf16  // products of bf16: they alone change results (model::Precision::kRounded)
};

// "plain", "avx2", "avx512", "avx512_bf16".
absl::StatusOr<CpuLevel> parse_cpu_level(std::string_view name);
std::string_view cpu_level_name(CpuLevel level);

// The lower of what this CPU has and of the environment variable FRUGAL_CPU_LEVEL, which is there
// to reproduce the results of another machine (LibTorch has switches of its own: scripts/test).
// Read once per process. Error: the variable names no level.
absl::StatusOr<CpuLevel> cpu_level();

}  // namespace frugal::grid
