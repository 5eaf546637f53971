// The builds of the scale-search loops, one source per instruction set (scale_search_<name>.cpp).
#pragma once

#include "grid/instruction_sets.h"
#include "grid/scale_search.h"

namespace frugal::grid {

#define FRUGAL_DECLARE_SCALE_KERNEL(name)                                                      \
  void name##_sums(const float* x, const float* weight, int64_t count,                         \
                   const Candidates& candidates, const LevelTable& table, CandidateSums& out); \
  void name##_correlate(const float* x, const float* weighted_x, const float* weight,          \
                        int64_t count, const float* scale, const LevelTable& table,            \
                        Correlations& out);                                                    \
  void name##_encode(const float* x, int64_t count, float scale, float offset,                 \
                     const LevelTable& table, uint8_t* codes)
FRUGAL_DECLARE_SCALE_KERNEL(plain);
#if FRUGAL_X86_TARGETS
FRUGAL_DECLARE_SCALE_KERNEL(avx2);
FRUGAL_DECLARE_SCALE_KERNEL(avx512);
#endif
#undef FRUGAL_DECLARE_SCALE_KERNEL

}  // namespace frugal::grid
