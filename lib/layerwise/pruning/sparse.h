// Sparse matrices of a stage: scores, the exact refit on a mask (recipe S of ../README.md) and
// SparseGPT's sweep.
//
// Recipe S: a mask chosen on the asymmetric target W* (pre_correct.h), then for every row with
// support S the weights that are best there,
//   w_S = ((H + λI)_SS)⁻¹ ((H + λI) w*)_S   =  argmin over v with support S of (v − w*)(H + λI)(v −
//   w*)ᵀ
// so that with nothing masked w* comes back (the sum on the right runs over all columns).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "layerwise/pruning/pattern.h"
#include "layerwise/rounding/factor.h"

namespace frugal::layerwise {

enum class WeightScore {
  kMagnitude,  // |w|
  kWanda,      // |w| · √H_ii (Sun et al. 2023)
  kObs,        // |w| / √((H + λI)⁻¹_ii): the rise of the error when all others make up for it
};

// [R, in] fp32. `mean_square` = diag H [in] (kWanda); `factor` (kObs).
at::Tensor weight_scores(const at::Tensor& target, WeightScore score, const at::Tensor& mean_square,
                         const Factor* factor);

// What choose_mask takes for `pattern`, fp32: of single weights these scores; of a whole column
// [1, in] the sum of their squares (kObs: the cost of removing it, ‖w_j‖² / (H + λI)⁻¹_jj, as in
// width.h); of a whole row [R, 1] what its output loses, as nothing makes up for an output: w (H +
// λI) wᵀ (kObs), Σ w² H_ii (kWanda), ‖w‖² (kMagnitude).
at::Tensor pattern_scores(const at::Tensor& target, const Pattern& pattern, WeightScore score,
                          const at::Tensor& mean_square, const Factor* factor);

struct RefitOptions {
  int64_t steps = 60;  // of conjugate gradients, at most
  // A row is done when what is left to gain is at most this share of its error. Far below what a
  // model can show, and far above what fp32 leaves: steps lose 2⁻²⁴ times the condition of H + λI
  // scaled by its diagonal, at most some in/λ-share (4096 / 0.01 gives 2%, in the norm's square
  // 6e-4).
  double tolerance = 1e-3;
};

struct RefitResult {
  at::Tensor weights;           // [R, in] fp32, exact zeros where masked
  double objective_before = 0;  // tr(ΔW (H + λI) ΔWᵀ) of the target cut by the mask
  double objective = 0;         // after the refit, never more
  int64_t steps = 0;            // of the slowest row
  int64_t rows_unfinished = 0;  // had more than the tolerance to gain after the last step
};

// Refits every row of `target` [R, in] fp32 on its support in `mask`, in the metric of
// `factor.damped`: conjugate gradients preconditioned by the diagonal, all rows of a tile in one
// product a step. What is left to gain is estimated by the gain of the last four steps (Strakoš and
// Tichý 2002). Row tiles: the same bits at any number of threads.
RefitResult refit(const at::Tensor& target, const at::Tensor& mask, const Factor& factor,
                  const RefitOptions& options);

struct SparseGptOptions {
  PatternScope scope = PatternScope::kRow;  // inside a block; not kMatrix
  int64_t mask_block = kPatternBlock;       // columns whose mask is chosen at once
};

struct SparseGptResult {
  at::Tensor weights;    // [R, in] fp32
  at::Tensor mask;       // uint8
  double objective = 0;  // tr(ΔW (H + λI) ΔWᵀ)
};

// SparseGPT (Frantar and Alistarh 2023) on one matrix: column by column, block by block, each mask
// from the weights as corrected by then. `factor.order` is the natural one. Exact counts. Throws on
// sizes that do not fit.
SparseGptResult sparsegpt(const at::Tensor& target, const Factor& factor, const Pattern& pattern,
                          const SparseGptOptions& options);

}  // namespace frugal::layerwise
