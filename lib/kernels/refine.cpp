#include "kernels/refine.h"

#include <algorithm>

#include "kernels/refine_kernels.h"

namespace frugal::kernels {
namespace {

constexpr RefineKernel kRefineKernels[] = {
#if FRUGAL_X86_TARGETS
    {"avx512", Device::kCpu, grid::has_avx512, refine_avx512},
    {"avx2", Device::kCpu, grid::has_avx2, refine_avx2},
#endif
    {"reference", Device::kCpu, grid::always_available, refine_reference},
};

}  // namespace

std::span<const RefineKernel> refine_kernels() { return kRefineKernels; }

RefineReport refine(const RefineProblem& problem, const RefineOptions& options) {
  const auto usable = [](const RefineKernel& k) {
    return k.device == Device::kCpu && k.available();
  };
  return std::find_if(std::begin(kRefineKernels), std::end(kRefineKernels), usable)
      ->run(problem, options);
}

}  // namespace frugal::kernels
