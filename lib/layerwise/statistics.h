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

// Sum of leftᵀ right over chunks that come one after the other [tokens_i, m] and [tokens_i, n]
// (fp32 or bf16, any device; all on one). Chunks are multiplied unscaled in fp32 and added in fp64
// in their order (algorithms.md §0.2).
class ProductSum {
 public:
  // `symmetric`: left is right; the lower half is mirrored.
  explicit ProductSum(bool symmetric) : symmetric_(symmetric) {}
  void add(const at::Tensor& left, const at::Tensor& right);
  // fp64 [m, n] on the CPU; undefined where nothing came. The sum ends here.
  at::Tensor take();

 private:
  void add_tile(const at::Tensor& left, const at::Tensor& right, int64_t tile);
  bool symmetric_;
  at::Tensor sum_;  // of a symmetric sum on the CPU the tiles on and above the diagonal
};

// The statistics of X from chunks that come one after the other [tokens_i, in].
class StatisticsSum {
 public:
  explicit StatisticsSum(Needs needs) : needs_(needs) {}
  void add(const at::Tensor& x);
  // The sum ends here. Errors: a NaN or infinity, naming `where` and the column.
  absl::StatusOr<InputStatistics> take(std::string_view where);

 private:
  Needs needs_;
  int64_t tokens_ = 0;
  std::vector<at::Tensor> moments_;  // by chunk [3, in] fp64: squares, magnitudes, maxima
  ProductSum products_{true};
};

// The same of chunks that are all there.
absl::StatusOr<InputStatistics> gather_statistics(const std::vector<at::Tensor>& chunks,
                                                  Needs needs, std::string_view where);

// (A − B)ᵀ X / tokens, fp64 [a_columns, in]; chunk lists of equal token counts.
at::Tensor gather_drift(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                        const std::vector<at::Tensor>& x);

}  // namespace frugal::layerwise
