#include "passes/common/arithmetic.h"

#include "base/text.h"
#include "kernels/bf16_product.h"
#include "tensor/device.h"

namespace frugal::passes {

std::string arithmetic_of(std::string_view precision, std::string_view device) {
  const bool cuda = device.starts_with("cuda");
  if (precision == "rounded") {  // as model/products.h
    if (cuda) return "tf32";
    const kernels::Bf16Kernel* kernel = kernels::fast_bf16_kernel();
    return kernel == nullptr ? "fp32" : base::str_cat("bf16 products of ", kernel->name);
  }
  // As train::resolve_precision.
  if (precision == "auto") return cuda || tensor::cpu_has_native_bf16() ? "bf16" : "fp32";
  return std::string(precision);
}

}  // namespace frugal::passes
