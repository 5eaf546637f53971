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

}  // namespace frugal::grid
