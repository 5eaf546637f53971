// Tested by: tests/kernels/mask_sweep_test.cpp
#include "kernels/mask_sweep_kernels.h"

#if FRUGAL_X86_TARGETS
#include <immintrin.h>

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")

#define FRUGAL_LANE_WIDTH 16
namespace frugal::kernels {
namespace {
#include "grid/lanes.inc"
#include "kernels/tile.inc"
// After what it is built from.
#include "kernels/mask_sweep_body.inc"
}  // namespace

void mask_sweep_avx512(const MaskSweep& sweep) { mask_sweep_tiles(sweep, sweep_tile); }

}  // namespace frugal::kernels
#endif  // FRUGAL_X86_TARGETS
