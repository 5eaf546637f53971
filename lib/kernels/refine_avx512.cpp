// Tested by: tests/kernels/refine_test.cpp
#include "kernels/refine_kernels.h"

#if FRUGAL_X86_TARGETS
#include <immintrin.h>

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")

#define FRUGAL_LANE_WIDTH 16
namespace frugal::kernels {
namespace {
using grid::LevelTable;
#include "grid/lanes.inc"
#include "grid/levels.inc"
#include "kernels/tile.inc"
// After what it is built from.
#include "kernels/refine_body.inc"
}  // namespace

RefineReport refine_avx512(const RefineProblem& problem, const RefineOptions& options) {
  return refine_tiles(problem, options, refine_tile);
}

}  // namespace frugal::kernels
#endif  // FRUGAL_X86_TARGETS
