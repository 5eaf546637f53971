// Tested by: tests/grid/scale_search_test.cpp
#include "grid/scale_kernels.h"

#if FRUGAL_X86_TARGETS
#include "grid/grid.h"

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")

#define FRUGAL_LANE_WIDTH 16
namespace frugal::grid {
namespace avx512 {
namespace {
#include "grid/lanes.inc"
#include "grid/levels.inc"
#include "grid/scale_search_body.inc"
}  // namespace
}  // namespace avx512

void avx512_sums(const float* x, const float* weight, int64_t count, const Candidates& candidates,
                 const LevelTable& table, CandidateSums& out) {
  avx512::sums(x, weight, count, candidates, table, out);
}
void avx512_correlate(const float* x, const float* weighted_x, const float* weight, int64_t count,
                      const float* scale, const LevelTable& table, Correlations& out) {
  avx512::correlate(x, weighted_x, weight, count, scale, table, out);
}
void avx512_encode(const float* x, int64_t count, float scale, float offset,
                   const LevelTable& table, uint8_t* codes) {
  avx512::encode(x, count, scale, offset, table, codes);
}
void avx512_group_scales(const float* x, const float* weight, int64_t count, const float* inverse,
                         int candidates, const LevelTable& table, GroupScales& best) {
  avx512::group_scales(x, weight, count, inverse, candidates, table, best);
}
void avx512_group_pairs(const float* x, const float* weight, int64_t count, const float* inverse,
                        int candidates, const GroupMoments& moments, const float* highest,
                        const LevelTable& table, GroupPairSums& best) {
  avx512::group_pairs(x, weight, count, inverse, candidates, moments, highest, table, best);
}
void avx512_group_sums(const float* x, const float* weight, int64_t count, const Candidates& groups,
                       const LevelTable& table, CandidateSums& out) {
  avx512::group_sums(x, weight, count, groups, table, out);
}
void avx512_group_range(const float* x, int64_t count, float* low, float* high) {
  avx512::group_range(x, count, low, high);
}
void avx512_group_multiply(float* x, int64_t count, const float* factor, float* squares) {
  avx512::group_multiply(x, count, factor, squares);
}
void avx512_group_weigh(const float* x, int64_t count, const float* sigma, float* weight) {
  avx512::group_weigh(x, count, sigma, weight);
}
void avx512_group_moments(const float* x, const float* weight, int64_t count, const float* offset,
                          float* shifted, GroupMoments& out) {
  avx512::group_moments(x, weight, count, offset, shifted, out);
}

}  // namespace frugal::grid
#endif  // FRUGAL_X86_TARGETS
