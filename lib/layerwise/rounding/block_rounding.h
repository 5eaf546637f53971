// Learned rounding of a whole layer: which way each weight rounds, so that the layer's output comes
// closest to the original's (SignRound: Cheng et al. 2023, arXiv 2309.05516), on top of any start.
//
// Weight i has a place t_i on its grid's codes, at most 0.49 from its start code, on the side where
// the corrected weight W* of the start lies, and an offset V_i in [-1/2, 1/2] that starts at 0:
// code = round(t_i + V_i), so that the start is reproduced. V moves by the sign of its gradient,
// the rate falling from 1/iterations to 0; rounding passes gradients straight through; parameters
// stay. All matrices of the layer learn together, on the mean squared error of the layer's output.
// Gradients come from the windows that the statistics have seen, too; those that the walk holds out
// of them are only for choosing: the best codes seen on them are kept, the start included. (Windows
// that were part of the start's H would favor the start.)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "grid/grid.h"
#include "layerwise/walk/walk.h"

namespace frugal::layerwise {

struct BlockRoundingOptions {
  int64_t iterations = 100;
  int64_t batch_windows = 8;
  double rate = 0;      // of V at first; 0 = 1 / iterations
  int64_t guards = 10;  // looks at the held-out windows, besides the one before the first iteration
  uint64_t seed = 1;
};

// One matrix of the layer, [R, in].
struct BlockMatrix {
  grid::QuantizedMatrix matrix;  // the start, and then the result; without a grid: not rounded
  at::Tensor target;  // fp32 CPU: what the start rounded (W*); the weights where there is no grid
};
// By stage and matrix of the stage.
using BlockLayer = std::vector<std::vector<BlockMatrix>>;

struct BlockRoundingResult {
  double before = 0,
         after =
             0;  // mean squared error of the layer's output on held-out windows; after <= before
  int64_t best_iteration = 0;  // 0 = the start
  int64_t changed_codes = 0;
  double seconds = 0;
};

// Replaces codes in `layer`. The same bits at any number of threads on the CPU. Errors: no window
// to learn from or none held out, sizes that do not fit, a loss that is not finite, interruption.
absl::StatusOr<BlockRoundingResult> round_block(const LayerProblem& problem,
                                                const BlockRoundingOptions& options,
                                                BlockLayer& layer);

// The decoded weights of each stage, stacked [R, in] fp32: what StageSolver::reconstruct_layer
// answers.
std::vector<at::Tensor> stacked_weights(const BlockLayer& layer);

}  // namespace frugal::layerwise
