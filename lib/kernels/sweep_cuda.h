// The sweep on a CUDA device, and packing there: which grids the device handles itself, and what
// the host does for the others.
//
// In a SweepBlock for the device, weights, factor, importance, codes, parameters, errors and
// row_loss are device memory; grid and columns stay on the host. Each window gives the bits of
// sweep_reference.cpp. Calls queue work in order with LibTorch's default stream.
#pragma once

#include <cstdint>

#include "kernels/cuda_module.h"
#include "kernels/sweep.h"

namespace frugal::kernels {

// Who chooses the parameters of a block at its first touch.
enum class CudaFit {
  kDevice,  // inside the sweep kernel
  kHost     // Grid::fit on a copy of the window's weights, between windows
};

// The honest table: every grid is swept on the device; scales of grids with one fp16 scale per
// block (q4_0, q8_0, iq4_nl, int4, int8) or a scale and a zero point (int4:asym, int8:asym) are
// fitted there in blocks of up to 256 columns, those of all other grids on the host.
CudaFit cuda_fit(const grid::GridSpec& spec);

// Columns of the widest window for sweeps that fit inside (`fit`) or have static scales. 0: blocks
// are too wide, fit them with fit_blocks on the host and sweep with static scales.
int64_t cuda_window(const grid::GridSpec& spec, bool fit);

// Throws std::invalid_argument as sweep(), and where the window is wider than cuda_window;
// std::runtime_error where the module or CUDA fails. Where scales are fitted on the host the
// window is one block.
void sweep_cuda(const SweepBlock& block, const FrugalCudaModule& module);
void sweep_cuda(const SweepBlock& block);  // with cuda_module(); throws where it cannot be used

// Whole rows of codes and parameters to the grid's packed blocks, all device memory, rows one
// behind the other; as grid::pack_matrix.
struct CudaPackProblem {
  const grid::Grid* grid = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  const uint8_t* codes = nullptr;
  const std::byte* parameters = nullptr;
  std::byte* packed = nullptr;  // out
};
// True for grids whose blocks are parameters, then nibbles or bytes; found by packing a probe.
bool cuda_packs(const grid::Grid& grid);
// Throws std::invalid_argument for other grids.
void pack_cuda(const CudaPackProblem& problem, const FrugalCudaModule& module);

// Device memory of one scope.
class CudaMemory {
 public:
  CudaMemory(const FrugalCudaModule& module, size_t bytes);
  ~CudaMemory();
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;
  template <typename T>
  T* as() const {
    return static_cast<T*>(pointer_);
  }

 private:
  const FrugalCudaModule& module_;
  void* pointer_ = nullptr;
};

}  // namespace frugal::kernels
