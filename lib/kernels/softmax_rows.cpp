#include "kernels/softmax_rows.h"

#include <algorithm>

#include "kernels/softmax_rows_kernels.h"

namespace frugal::kernels {
namespace {

constexpr SoftmaxKernel kSoftmaxKernels[] = {
#if FRUGAL_X86_TARGETS
    {"avx512", grid::has_avx512, softmax_avx512, probabilities_avx512, softmax_gradient_avx512},
#endif
    {"reference", grid::always_available, softmax_reference, probabilities_reference,
     softmax_gradient_reference},
};

}  // namespace

std::span<const SoftmaxKernel> softmax_kernels() { return kSoftmaxKernels; }

const SoftmaxKernel& softmax_kernel() {
  return *std::ranges::find_if(kSoftmaxKernels,
                               [](const SoftmaxKernel& kernel) { return kernel.available(); });
}

}  // namespace frugal::kernels
