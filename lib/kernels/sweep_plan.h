// What every sweep implementation works out first: the grid blocks that a window touches, and
// where.
#pragma once

#include <cstdint>
#include <vector>

#include "grid/scale_search.h"
#include "kernels/sweep.h"

namespace frugal::kernels {

struct SweepPlan {
  std::vector<int64_t>
      blocks;  // grid blocks in the order in which they are first touched: the *slots*
  std::vector<int32_t> group;   // [width] slot * groups_per_block + group inside the block
  std::vector<int32_t> fit_at;  // [width] the slot to fit before this position, or -1
  grid::LevelTable table;
  int64_t groups() const { return static_cast<int64_t>(blocks.size()) * groups_per_block; }
  int64_t groups_per_block = 0;
};

// Throws std::invalid_argument where `block` contradicts itself.
SweepPlan plan_sweep(const SweepBlock& block);

// Fits one block on its kept weights: those that `mask` [block_columns] pins become zeros without
// importance in `x`. A null mask, or one without zeros, is Grid::fit.
void fit_kept(const grid::Grid& grid, std::span<float> x, std::span<const float> importance,
              const uint8_t* mask, bool search, std::byte* parameters);

// Throws std::invalid_argument where weights cannot be pinned on this grid. `what`: the caller.
void check_mask(const grid::Grid& grid, const uint8_t* mask, int64_t stride, int64_t columns,
                const char* what);

}  // namespace frugal::kernels
