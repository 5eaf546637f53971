// Tested by: tests/grid/scale_search_test.cpp
#include "grid/grid.h"
#include "grid/scale_kernels.h"

#define FRUGAL_LANE_WIDTH 4
namespace frugal::grid {
namespace plain {
namespace {
#include "grid/lanes.inc"
#include "grid/levels.inc"
#include "grid/scale_search_body.inc"
}  // namespace
}  // namespace plain

void plain_sums(const float* x, const float* weight, int64_t count, const Candidates& candidates,
                const LevelTable& table, CandidateSums& out) {
  plain::sums(x, weight, count, candidates, table, out);
}
void plain_correlate(const float* x, const float* weighted_x, const float* weight, int64_t count,
                     const float* scale, const LevelTable& table, Correlations& out) {
  plain::correlate(x, weighted_x, weight, count, scale, table, out);
}
void plain_encode(const float* x, int64_t count, float scale, float offset, const LevelTable& table,
                  uint8_t* codes) {
  plain::encode(x, count, scale, offset, table, codes);
}
void plain_group_scales(const float* x, const float* weight, int64_t count, const float* inverse,
                        int candidates, const LevelTable& table, GroupScales& best) {
  plain::group_scales(x, weight, count, inverse, candidates, table, best);
}
void plain_group_pairs(const float* x, const float* weight, int64_t count, const float* inverse,
                       int candidates, const GroupMoments& moments, const float* highest,
                       const LevelTable& table, GroupPairSums& best) {
  plain::group_pairs(x, weight, count, inverse, candidates, moments, highest, table, best);
}
void plain_group_sums(const float* x, const float* weight, int64_t count, const Candidates& groups,
                      const LevelTable& table, CandidateSums& out) {
  plain::group_sums(x, weight, count, groups, table, out);
}
void plain_group_range(const float* x, int64_t count, float* low, float* high) {
  plain::group_range(x, count, low, high);
}
void plain_group_multiply(float* x, int64_t count, const float* factor, float* squares) {
  plain::group_multiply(x, count, factor, squares);
}
void plain_group_weigh(const float* x, int64_t count, const float* sigma, float* weight) {
  plain::group_weigh(x, count, sigma, weight);
}
void plain_group_moments(const float* x, const float* weight, int64_t count, const float* offset,
                         float* shifted, GroupMoments& out) {
  plain::group_moments(x, weight, count, offset, shifted, out);
}

}  // namespace frugal::grid
