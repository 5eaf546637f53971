#include "device.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include "base/text.h"
#include "kernels/cuda_module.h"
#include "tensor/block_cache.h"
#include "tensor/device.h"

namespace frugal::tool {

absl::StatusOr<Device> open_device(const std::string& name) {
  tensor::use_block_cache();  // for whatever computes
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(name));
  return Device{device.str(), tensor::describe(device)};
}

std::vector<std::string> torch_facts() {
  return {base::str_cat("LibTorch ", TORCH_VERSION, ", ", at::get_num_threads(), " threads"),
          tensor::cpu_has_native_bf16()
              ? "bf16 arithmetic: native on this CPU"
              : "bf16 arithmetic: not native on this CPU; training uses fp32"};
}

absl::StatusOr<std::string> cuda_kernels() {
  const std::string problem = kernels::cuda_problem();
  if (!problem.empty()) return base::not_found(problem);
  return base::str_cat(kernels::cuda_module().table->build, " (", kernels::cuda_module().path, ")");
}

}  // namespace frugal::tool
