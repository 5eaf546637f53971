// The builds of the sweep, and what they share.
#pragma once

#include "grid/instruction_sets.h"
#include "kernels/sweep_plan.h"

namespace frugal::kernels {

// Row by row in plain C++: the definition that every other build must equal bit for bit.
void sweep_reference(const SweepBlock& block);
#if FRUGAL_X86_TARGETS
// Sixteen rows at a time: each factor of U is loaded once for all of them, and eight columns update
// the ones behind them together.
void sweep_avx2(const SweepBlock& block);
void sweep_avx512(const SweepBlock& block);
#endif

constexpr int kTileRows = 16;

// Working memory of one thread for one tile; every array is [..][16].
struct SweepTile {
  std::vector<float> weights;   // [width], current
  std::vector<float> negated;   // [width], -errors
  std::vector<float> codes;     // [width]
  std::vector<float> scale;     // [groups]
  std::vector<float> inverse;   // [groups]
  std::vector<float> offset;    // [groups]
  std::vector<float> gathered;  // [block_columns] one row's block in column order
  std::vector<float> kept;      // [width], 1 or 0 (pinned); empty without a mask
  SweepTile(const SweepBlock& block, const SweepPlan& plan);
};

// Rows first_row .. first_row + kTileRows - 1 (cut at the matrix) of the tile's input and output.
void load_tile(const SweepBlock& block, const SweepPlan& plan, int64_t first_row, SweepTile& tile);
void fit_tile(const SweepBlock& block, const SweepPlan& plan, int64_t first_row, int64_t position,
              SweepTile& tile);
void store_tile(const SweepBlock& block, int64_t first_row, const SweepTile& tile);

// Runs `sweep_tile` over all tiles, across threads.
using SweepTileFunction = void (*)(const SweepBlock& block, const SweepPlan& plan,
                                   int64_t first_row, SweepTile& tile);
void sweep_tiles(const SweepBlock& block, SweepTileFunction sweep_tile);

}  // namespace frugal::kernels
