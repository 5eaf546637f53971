// Tested by: tests/grid/scale_search_test.cpp
// Which build of the scale-search loops runs on this machine.
#include <algorithm>
#include <iterator>

#include "grid/scale_kernels.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr ScaleKernel kScaleKernels[] = {
#if FRUGAL_X86_TARGETS
    {"avx512", has_avx512, avx512_sums, avx512_correlate, avx512_encode, avx512_group_scales,
     avx512_group_pairs, avx512_group_sums, avx512_group_range, avx512_group_multiply,
     avx512_group_weigh, avx512_group_moments},
    {"avx2", has_avx2, avx2_sums, avx2_correlate, avx2_encode, avx2_group_scales, avx2_group_pairs,
     avx2_group_sums, avx2_group_range, avx2_group_multiply, avx2_group_weigh, avx2_group_moments},
#endif
    {"plain", always_available, plain_sums, plain_correlate, plain_encode, plain_group_scales,
     plain_group_pairs, plain_group_sums, plain_group_range, plain_group_multiply,
     plain_group_weigh, plain_group_moments},
};

}  // namespace

std::span<const ScaleKernel> scale_kernels() { return kScaleKernels; }

const ScaleKernel& scale_kernel() {
  static const ScaleKernel& chosen =
      *std::find_if(std::begin(kScaleKernels), std::end(kScaleKernels),
                    [](const auto& k) { return k.available(); });
  return chosen;
}

}  // namespace frugal::grid
