// What a precision that an option names comes to on a device: the word that a step's key holds, so
// that neither the cache nor a resumed run mixes results of different arithmetic.
#pragma once

#include <string>
#include <string_view>

namespace frugal::passes {

// `precision`: "fp32", "bf16", or what depends on the machine: "rounded" (of products over
// calibration tokens: bfloat16 factors by the kernel named, TF32 on CUDA, else fp32), "auto" (of
// training: bf16 where the device multiplies it natively, else fp32). `device`: "cpu", "cuda:0".
std::string arithmetic_of(std::string_view precision, std::string_view device);

}  // namespace frugal::passes
