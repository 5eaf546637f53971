#include "passes/common/arithmetic.h"

#include <c10/core/Device.h>

#include "base/text.h"
#include "kernels/bf16_product.h"
#include "train/check.h"

namespace frugal::passes {

std::string arithmetic_of(std::string_view precision, std::string_view device) {
  const at::Device place{std::string(device)};
  if (precision == "rounded") {  // as model/products.h
    if (place.is_cuda()) return "tf32";
    const kernels::Bf16Kernel* kernel = kernels::fast_bf16_kernel();
    return kernel == nullptr ? "fp32" : base::str_cat("bf16 products of ", kernel->name);
  }
  if (precision != "auto") return std::string(precision);
  const auto resolved = train::resolve_precision(train::Precision::kAuto, place);
  return resolved.ok() && *resolved == train::Precision::kBf16 ? "bf16" : "fp32";
}

}  // namespace frugal::passes
