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
    {"avx512", has_avx512, avx512_sums, avx512_correlate, avx512_encode},
    {"avx2", has_avx2, avx2_sums, avx2_correlate, avx2_encode},
#endif
    {"plain", always_available, plain_sums, plain_correlate, plain_encode},
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
