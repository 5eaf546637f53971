// What a solver knows of a stage's input, from one pass over the calibration activations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::layerwise {

// What must be gathered; each level includes those before it.
enum class Needs { kNothing, kMoments, kHessian };

// Statistics of X [tokens, in]; all tensors fp64 on the CPU.
struct InputStatistics {
  int64_t tokens = 0;
  at::Tensor hessian;           // H = XᵀX / tokens [in, in]; undefined below Needs::kHessian
  at::Tensor mean_square;       // [in] = diag H: importance of a column (imatrix, Wanda)
  at::Tensor mean_absolute;     // [in] (AWQ)
  at::Tensor maximum_absolute;  // [in] (SmoothQuant)
};

// How far the changed prefix has moved the model from the original one; X̃, r̃ are the original's.
// fp64 on the CPU.
struct Drift {
  at::Tensor input;  // (X̃ − X)ᵀ X / tokens [in, in]; undefined where not asked for
  at::Tensor residual;  // (r̃ − r)ᵀ X / tokens [C, in]: stages that write the residual stream only
};

// The statistics of X cut into chunks [tokens_i, in] (fp32 or bf16, any device). Chunks are
// multiplied unscaled in fp32 and added in fp64 in their order (algorithms.md §0.2). Errors: a NaN
// or infinity, naming `where` and the column.
absl::StatusOr<InputStatistics> gather_statistics(const std::vector<at::Tensor>& chunks,
                                                  Needs needs, std::string_view where);

// (A − B)ᵀ X / tokens, fp64 [a_columns, in]; chunk lists of equal token counts.
at::Tensor gather_drift(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                        const std::vector<at::Tensor>& x);

}  // namespace frugal::layerwise
