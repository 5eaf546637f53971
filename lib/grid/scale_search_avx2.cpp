// Tested by: tests/grid/scale_search_test.cpp
#include "grid/scale_kernels.h"

#if FRUGAL_X86_TARGETS
#include "grid/grid.h"

#pragma GCC target("avx2")

#define FRUGAL_LANE_WIDTH 8
namespace frugal::grid {
namespace avx2 {
namespace {
#include "grid/lanes.inc"
#include "grid/levels.inc"
#include "grid/scale_search_body.inc"
}  // namespace
}  // namespace avx2

void avx2_sums(const float* x, const float* weight, int64_t count, const Candidates& candidates,
               const LevelTable& table, CandidateSums& out) {
  avx2::sums(x, weight, count, candidates, table, out);
}
void avx2_correlate(const float* x, const float* weighted_x, const float* weight, int64_t count,
                    const float* scale, const LevelTable& table, Correlations& out) {
  avx2::correlate(x, weighted_x, weight, count, scale, table, out);
}
void avx2_encode(const float* x, int64_t count, float scale, float offset, const LevelTable& table,
                 uint8_t* codes) {
  avx2::encode(x, count, scale, offset, table, codes);
}

}  // namespace frugal::grid
#endif  // FRUGAL_X86_TARGETS
