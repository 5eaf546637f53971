// Devices by name, and what must be done before LibTorch is first used.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::tensor {

// "auto" (CUDA where usable, else the CPU), "cpu", "cuda", "cuda:1". Opens LibTorch's CUDA
// libraries on demand, so it must be called before any other LibTorch call of the process. Errors:
// no driver, no such device, CUDA libraries not found (says where they were looked for).
absl::StatusOr<at::Device> open_device(std::string_view name);

// "cpu", "cuda:0 (NVIDIA H200)".
std::string describe(const at::Device& device);

// True where this CPU multiplies bf16 natively (AVX512_BF16 or AMX): bf16 autocast pays only there;
// elsewhere oneDNN emulates it, slower than fp32. False below FRUGAL_CPU_LEVEL=avx512_bf16.
bool cpu_has_native_bf16();

}  // namespace frugal::tensor
