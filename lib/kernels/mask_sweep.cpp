#include "kernels/mask_sweep.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "kernels/mask_sweep_kernels.h"

namespace frugal::kernels {
namespace {

constexpr int64_t kLargestGroup = 32;

constexpr MaskSweepKernel kMaskSweepKernels[] = {
#if FRUGAL_X86_TARGETS
    {"avx512", Device::kCpu, grid::has_avx512, mask_sweep_avx512},
    {"avx2", Device::kCpu, grid::has_avx2, mask_sweep_avx2},
#endif
    {"reference", Device::kCpu, grid::always_available, mask_sweep_reference},
};

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("mask_sweep: " + what);
}

int64_t tile_rows(const MaskSweep& sweep, int64_t first_row) {
  return std::min<int64_t>(kMaskRows, sweep.rows - first_row);
}

void load_tile(const MaskSweep& sweep, int64_t first_row, MaskTile& tile) {
  const int64_t rows = tile_rows(sweep, first_row);
  if (rows < kMaskRows) {  // idle lanes
    std::fill(tile.weights.begin(), tile.weights.end(), 0.0f);
    std::fill(tile.kept.begin(), tile.kept.end(), 1.0f);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float* const weights = sweep.weights + (first_row + r) * sweep.weights_stride;
    for (int64_t p = 0; p < sweep.width; ++p) tile.weights[p * kMaskRows + r] = weights[p];
    if (sweep.group > 0) continue;
    const uint8_t* const mask = sweep.mask + (first_row + r) * sweep.mask_stride;
    for (int64_t p = 0; p < sweep.width; ++p)
      tile.kept[p * kMaskRows + r] = mask[p] != 0 ? 1.0f : 0.0f;
  }
}

void store_tile(const MaskSweep& sweep, int64_t first_row, const MaskTile& tile) {
  for (int64_t r = 0; r < tile_rows(sweep, first_row); ++r) {
    const int64_t row = first_row + r;
    double loss = 0;
    for (int64_t p = 0; p < sweep.width; ++p) {
      const int64_t at = p * kMaskRows + r;
      const float error = -tile.negated[at];
      sweep.weights[row * sweep.weights_stride + p] = tile.weights[at];
      sweep.errors[row * sweep.errors_stride + p] = error;
      if (sweep.group > 0)
        sweep.mask[row * sweep.mask_stride + p] = static_cast<uint8_t>(tile.kept[at] != 0);
      loss += static_cast<double>(error) * error;
    }
    if (sweep.row_loss != nullptr) sweep.row_loss[row] += loss;
  }
}

}  // namespace

std::span<const MaskSweepKernel> mask_sweep_kernels() { return kMaskSweepKernels; }

void mask_sweep(const MaskSweep& sweep) {
  const auto usable = [](const MaskSweepKernel& k) {
    return k.device == Device::kCpu && k.available();
  };
  std::find_if(std::begin(kMaskSweepKernels), std::end(kMaskSweepKernels), usable)->run(sweep);
}

void check_mask_sweep(const MaskSweep& sweep) {
  if (sweep.rows < 0 || sweep.width < 0) refuse("negative rows or width");
  if (sweep.rows == 0 || sweep.width == 0) return;
  if (sweep.weights == nullptr || sweep.factor == nullptr || sweep.mask == nullptr ||
      sweep.errors == nullptr) {
    refuse("a required pointer is null");
  }
  if (sweep.weights_stride < sweep.width || sweep.factor_stride < sweep.width ||
      sweep.mask_stride < sweep.width || sweep.errors_stride < sweep.width) {
    refuse("a row stride is smaller than the width " + std::to_string(sweep.width));
  }
  if (sweep.group == 0) return;
  if (sweep.group < 2 || sweep.group > kLargestGroup || sweep.kept < 1 ||
      sweep.kept >= sweep.group || sweep.width % sweep.group != 0) {
    refuse(std::to_string(sweep.kept) + " of every " + std::to_string(sweep.group) +
           " columns in a window of " + std::to_string(sweep.width) +
           ": groups have 2 to 32 columns, divide the window and keep some, not all");
  }
}

MaskTile::MaskTile(const MaskSweep& sweep)
    : weights(sweep.width * kMaskRows),
      negated(sweep.width * kMaskRows),
      kept(sweep.width * kMaskRows),
      scores(kLargestGroup * kMaskRows) {}

void mask_sweep_tiles(const MaskSweep& sweep, MaskTileFunction sweep_tile) {
  check_mask_sweep(sweep);
  const int64_t tiles = (sweep.rows + kMaskRows - 1) / kMaskRows;
#pragma omp parallel
  {
    MaskTile tile(sweep);
#pragma omp for schedule(dynamic)
    for (int64_t t = 0; t < tiles; ++t) {
      load_tile(sweep, t * kMaskRows, tile);
      sweep_tile(sweep, tile);
      store_tile(sweep, t * kMaskRows, tile);
    }
  }
}

}  // namespace frugal::kernels
