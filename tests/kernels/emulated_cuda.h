// The CUDA module without a GPU: the same step functions (lib/kernels/cuda) compiled for the host
// and run by a driver that executes thread blocks, warps and lanes one after the other, with
// barriers as phase boundaries. Device memory is host memory.
#pragma once

#include "kernels/cuda/module.h"

namespace frugal::kernels {

// Lanes and threads of a phase in ascending or in descending order: results that depend on it would
// be races on a GPU.
enum class LaneOrder { kAscending, kDescending };
const FrugalCudaModule& emulated_cuda(LaneOrder order);

}  // namespace frugal::kernels
