// Tested by: tests/kernels/sweep_test.cpp
// What the tiled sweeps share and what need not be fast: loading, fitting, storing.
#include <algorithm>

#include "kernels/sweep_kernels.h"

namespace frugal::kernels {
namespace {

int64_t tile_rows(const SweepBlock& block, int64_t first_row) {
  return std::min<int64_t>(kTileRows, block.rows - first_row);
}

std::byte* block_parameters(const SweepBlock& block, int64_t row, int64_t grid_block) {
  return block.parameters + row * block.parameters_stride +
         grid_block * block.grid->spec().parameter_bytes;
}

// Writes the expanded parameters of one row's block into lane `lane`.
void expand_lane(const SweepBlock& block, const SweepPlan& plan, int64_t slot, int64_t row,
                 int64_t lane, SweepTile& tile) {
  float scale[grid::kMaxGroupsPerBlock];
  float offset[grid::kMaxGroupsPerBlock];
  block.grid->expand(block_parameters(block, row, plan.blocks[slot]), scale, offset);
  for (int64_t g = 0; g < plan.groups_per_block; ++g) {
    const int64_t at = (slot * plan.groups_per_block + g) * kTileRows + lane;
    tile.scale[at] = scale[g];
    tile.inverse[at] = grid::inverse_scale(scale[g]);
    tile.offset[at] = offset[g];
  }
}

}  // namespace

SweepTile::SweepTile(const SweepBlock& block, const SweepPlan& plan)
    : weights(block.width * kTileRows),
      negated(block.width * kTileRows),
      codes(block.width * kTileRows),
      scale(plan.groups() * kTileRows),
      inverse(plan.groups() * kTileRows),
      offset(plan.groups() * kTileRows),
      gathered(block.grid->spec().block_columns),
      kept(block.mask == nullptr ? 0 : block.width * kTileRows) {}

void load_tile(const SweepBlock& block, const SweepPlan& plan, int64_t first_row, SweepTile& tile) {
  const int64_t rows = tile_rows(block, first_row);
  if (rows < kTileRows) std::fill(tile.weights.begin(), tile.weights.end(), 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    const float* const from = block.weights + (first_row + r) * block.weights_stride;
    for (int64_t p = 0; p < block.width; ++p) tile.weights[p * kTileRows + r] = from[p];
  }
  for (int64_t r = 0; block.mask != nullptr && r < rows; ++r) {
    const uint8_t* const mask = block.mask + (first_row + r) * block.mask_stride;
    for (int64_t p = 0; p < block.width; ++p)
      tile.kept[p * kTileRows + r] = mask[block.columns[p]] != 0 ? 1.0f : 0.0f;
  }
  if (block.fit) return;
  for (int64_t slot = 0; slot < static_cast<int64_t>(plan.blocks.size()); ++slot) {
    for (int64_t r = 0; r < rows; ++r) expand_lane(block, plan, slot, first_row + r, r, tile);
  }
}

void fit_tile(const SweepBlock& block, const SweepPlan& plan, int64_t first_row, int64_t position,
              SweepTile& tile) {
  const int32_t slot = plan.fit_at[position];
  const int64_t size = block.grid->spec().block_columns;
  const int64_t start = plan.blocks[slot] * size;
  std::span<const float> importance;
  if (block.importance != nullptr)
    importance = {block.importance + start, static_cast<size_t>(size)};
  for (int64_t r = 0; r < tile_rows(block, first_row); ++r) {
    for (int64_t p = position; p < position + size; ++p) {
      tile.gathered[block.columns[p] - start] = tile.weights[p * kTileRows + r];
    }
    const uint8_t* const mask =
        block.mask == nullptr ? nullptr : block.mask + (first_row + r) * block.mask_stride + start;
    fit_kept(*block.grid, tile.gathered, importance, mask, /*search=*/true,
             block_parameters(block, first_row + r, start / size));
    expand_lane(block, plan, slot, first_row + r, r, tile);
  }
}

void store_tile(const SweepBlock& block, int64_t first_row, const SweepTile& tile) {
  for (int64_t r = 0; r < tile_rows(block, first_row); ++r) {
    uint8_t* const codes = block.codes + (first_row + r) * block.codes_stride;
    float* const errors = block.errors + (first_row + r) * block.errors_stride;
    double loss = 0;
    for (int64_t p = 0; p < block.width; ++p) {
      const float error = -tile.negated[p * kTileRows + r];
      errors[p] = error;
      codes[block.columns[p]] =
          static_cast<uint8_t>(static_cast<int32_t>(tile.codes[p * kTileRows + r]));
      loss += static_cast<double>(error) * error;
    }
    if (block.row_loss != nullptr) block.row_loss[first_row + r] += loss;
  }
}

void sweep_tiles(const SweepBlock& block, SweepTileFunction sweep_tile) {
  const SweepPlan plan = plan_sweep(block);
  const int64_t tiles = (block.rows + kTileRows - 1) / kTileRows;
#pragma omp parallel
  {
    SweepTile tile(block, plan);
#pragma omp for schedule(dynamic)
    for (int64_t t = 0; t < tiles; ++t) sweep_tile(block, plan, t * kTileRows, tile);
  }
}

}  // namespace frugal::kernels
