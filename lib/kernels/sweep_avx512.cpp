// Tested by: tests/kernels/sweep_test.cpp
#include "kernels/sweep_kernels.h"

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
#include "kernels/sweep_body.inc"
}  // namespace

void sweep_avx512(const SweepBlock& block) { sweep_tiles(block, sweep_tile); }

}  // namespace frugal::kernels
#endif  // FRUGAL_X86_TARGETS
