// The builds of the mask sweep, and what they share.
#pragma once

#include <vector>

#include "grid/instruction_sets.h"
#include "kernels/mask_sweep.h"

namespace frugal::kernels {

// Row by row in plain C++: the definition that every other build must equal bit for bit.
void mask_sweep_reference(const MaskSweep& sweep);
#if FRUGAL_X86_TARGETS
void mask_sweep_avx2(const MaskSweep& sweep);  // sixteen rows at a time
void mask_sweep_avx512(const MaskSweep& sweep);
#endif

// Throws std::invalid_argument where `sweep` contradicts itself.
void check_mask_sweep(const MaskSweep& sweep);

constexpr int kMaskRows = 16;

// Sixteen rows in work; every array is [width][16].
struct MaskTile {
  std::vector<float> weights;  // current; final behind the column in work
  std::vector<float> negated;  // -errors
  std::vector<float> kept;     // 1 or 0
  std::vector<float> scores;   // [group][16] w^2 / U^2
  explicit MaskTile(const MaskSweep& sweep);
};

using MaskTileFunction = void (*)(const MaskSweep& sweep, MaskTile& tile);
void mask_sweep_tiles(const MaskSweep& sweep, MaskTileFunction sweep_tile);

}  // namespace frugal::kernels
