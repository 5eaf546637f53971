#include "kernels/sweep.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/sweep_cuda.h"
#include "kernels/sweep_kernels.h"

namespace frugal::kernels {
namespace {

constexpr SweepKernel kSweepKernels[] = {
    {"cuda", Device::kCuda, cuda_available, sweep_cuda},
#if FRUGAL_X86_TARGETS
    {"avx512", Device::kCpu, grid::has_avx512, sweep_avx512},
    {"avx2", Device::kCpu, grid::has_avx2, sweep_avx2},
#endif
    {"reference", Device::kCpu, grid::always_available, sweep_reference},
};

void check_fit(const FitBlocks& blocks) {
  if (blocks.grid == nullptr || blocks.weights == nullptr || blocks.parameters == nullptr) {
    throw std::invalid_argument("fit_blocks: a required pointer is null");
  }
  const int64_t size = blocks.grid->spec().block_columns;
  int64_t last = blocks.first_column + blocks.width - 1;
  if (blocks.columns != nullptr)
    last = *std::max_element(blocks.columns, blocks.columns + blocks.width);
  check_mask(*blocks.grid, blocks.mask, blocks.mask_stride, last + 1, "fit_blocks");
  if (blocks.width % size != 0 || blocks.first_column % size != 0) {
    throw std::invalid_argument("fit_blocks: width " + std::to_string(blocks.width) +
                                " and first column " + std::to_string(blocks.first_column) +
                                " must be multiples of the grid's block of " +
                                std::to_string(size));
  }
  std::vector<bool> seen;
  for (int64_t p = 0; blocks.columns != nullptr && p < blocks.width; ++p) {
    if (p % size == 0) seen.assign(static_cast<size_t>(size), false);
    const int64_t column = blocks.columns[p];
    if (column < 0 || column / size != blocks.columns[p - p % size] / size || seen[column % size]) {
      throw std::invalid_argument(
          "fit_blocks: the columns of a grid block must lie side by side; position " +
          std::to_string(p) + " holds column " + std::to_string(column));
    }
    seen[column % size] = true;
  }
}

void fit_row(const FitBlocks& blocks, int64_t row, std::vector<float>& x) {
  const grid::GridSpec& spec = blocks.grid->spec();
  const float* const weights = blocks.weights + row * blocks.weights_stride;
  for (int64_t position = 0; position < blocks.width; position += spec.block_columns) {
    const auto column = [&](int64_t p) {
      return blocks.columns ? blocks.columns[p] : blocks.first_column + p;
    };
    const int64_t block = column(position) / spec.block_columns;
    const int64_t start = block * spec.block_columns;
    for (int64_t p = position; p < position + spec.block_columns; ++p)
      x[column(p) - start] = weights[p];
    std::span<const float> importance;
    if (blocks.importance != nullptr) importance = {blocks.importance + start, x.size()};
    const uint8_t* const mask =
        blocks.mask == nullptr ? nullptr : blocks.mask + row * blocks.mask_stride + start;
    fit_kept(*blocks.grid, x, importance, mask, blocks.search,
             blocks.parameters + row * blocks.parameters_stride + block * spec.parameter_bytes);
  }
}

}  // namespace

std::span<const SweepKernel> sweep_kernels() { return kSweepKernels; }

const SweepKernel* sweep_kernel(Device device) {
  const auto usable = [device](const SweepKernel& k) {
    return k.device == device && k.available();
  };
  const auto found = std::find_if(std::begin(kSweepKernels), std::end(kSweepKernels), usable);
  return found == std::end(kSweepKernels) ? nullptr : found;
}

void sweep(const SweepBlock& block) { sweep_kernel(Device::kCpu)->run(block); }

void fit_blocks(const FitBlocks& blocks) {
  if (blocks.rows <= 0 || blocks.width <= 0) return;
  check_fit(blocks);
#pragma omp parallel
  {
    std::vector<float> x(blocks.grid->spec().block_columns);
#pragma omp for schedule(static)
    for (int64_t row = 0; row < blocks.rows; ++row) fit_row(blocks, row, x);
  }
}

}  // namespace frugal::kernels
