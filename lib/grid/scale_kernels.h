// The builds of the scale-search loops, one source per instruction set (scale_search_<name>.cpp).
#pragma once

#include "grid/instruction_sets.h"
#include "grid/scale_search.h"

namespace frugal::grid {

#define FRUGAL_DECLARE_SCALE_KERNEL(name)                                                        \
  void name##_sums(const float* x, const float* weight, int64_t count,                           \
                   const Candidates& candidates, const LevelTable& table, CandidateSums& out);   \
  void name##_correlate(const float* x, const float* weighted_x, const float* weight,            \
                        int64_t count, const float* scale, const LevelTable& table,              \
                        Correlations& out);                                                      \
  void name##_encode(const float* x, int64_t count, float scale, float offset,                   \
                     const LevelTable& table, uint8_t* codes);                                   \
  void name##_group_scales(const float* x, const float* weight, int64_t count,                   \
                           const float* inverse, int candidates, const LevelTable& table,        \
                           GroupScales& best);                                                   \
  void name##_group_pairs(const float* x, const float* weight, int64_t count,                    \
                          const float* inverse, int candidates, const GroupMoments& moments,     \
                          const float* highest, const LevelTable& table, GroupPairSums& best);   \
  void name##_group_sums(const float* x, const float* weight, int64_t count,                     \
                         const Candidates& groups, const LevelTable& table, CandidateSums& out); \
  void name##_group_range(const float* x, int64_t count, float* low, float* high);               \
  void name##_group_multiply(float* x, int64_t count, const float* factor, float* squares);      \
  void name##_group_weigh(const float* x, int64_t count, const float* sigma, float* weight);     \
  void name##_group_moments(const float* x, const float* weight, int64_t count,                  \
                            const float* offset, float* shifted, GroupMoments& out)
FRUGAL_DECLARE_SCALE_KERNEL(plain);
#if FRUGAL_X86_TARGETS
FRUGAL_DECLARE_SCALE_KERNEL(avx2);
FRUGAL_DECLARE_SCALE_KERNEL(avx512);
#endif
#undef FRUGAL_DECLARE_SCALE_KERNEL

}  // namespace frugal::grid
