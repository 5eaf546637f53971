#include "kernels/bf16_product.h"

#include "kernels/bf16_product_kernels.h"

namespace frugal::kernels {
namespace {

constexpr Bf16Kernel kBf16Kernels[] = {
#if FRUGAL_X86_TARGETS
    {"avx512_bf16", grid::has_avx512_bf16, pack_columns_avx512, pack_rows_avx512, multiply_avx512},
#endif
    {"reference", grid::always_available, pack_columns_reference, pack_rows_reference,
     multiply_reference},
};

}  // namespace

std::span<const Bf16Kernel> bf16_kernels() { return kBf16Kernels; }

const Bf16Kernel* fast_bf16_kernel() {
  const Bf16Kernel& first = kBf16Kernels[0];
  return std::size(kBf16Kernels) > 1 && first.available() ? &first : nullptr;
}

}  // namespace frugal::kernels
