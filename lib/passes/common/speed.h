// How fast a CPU computes: rough figures, for estimates only.
#pragma once

namespace frugal::passes {

inline constexpr double kOperationsPerSecond = 2e10;          // of one core, in fp32
inline constexpr double kDoubleOperationsPerSecond = 1e10;    // of one core, in fp64
inline constexpr double kTrainingOperationsPerSecond = 6e10;  // of two cores, bf16, small matrices

}  // namespace frugal::passes
