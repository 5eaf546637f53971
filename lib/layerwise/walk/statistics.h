// What a solver knows of a stage's input, from one pass over the calibration activations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/products.h"

namespace frugal::layerwise {

// What must be gathered; each level includes those before it.
enum class Needs { kNothing, kMoments, kHessian };

// Statistics of X [tokens, in]; all tensors fp64 on the CPU.
struct InputStatistics {
  int64_t tokens = 0;  // that the stage got
  // Of an expert that few tokens reach (expert_blend.h): the share of all tokens of the layer in
  // the moments below, and how many those are.
  double blend = 0;
  int64_t all_tokens = 0;
  // How many independent tokens the moments are as good as: the noise of both parts.
  int64_t worth() const;
  at::Tensor hessian;           // H = XᵀX / tokens [in, in]; undefined below Needs::kHessian
  at::Tensor mean_square;       // [in] = diag H: importance of a column (imatrix, Wanda)
  at::Tensor mean_absolute;     // [in] (AWQ)
  at::Tensor maximum_absolute;  // [in] (SmoothQuant)
};

// How far the changed prefix has moved the model from the original one; X̃, r̃ are the original's.
// fp64 on the CPU; undefined what was not asked for.
struct Drift {
  at::Tensor input;     // (X̃ − X)ᵀ X / tokens [in, in]
  at::Tensor output;    // the same as the stage's matrices see it: W (X̃ − X)ᵀ X / tokens [R, in]
  at::Tensor residual;  // (r̃ − r)ᵀ X / tokens [C, in]: stages that write the residual stream only
};

// The statistics of X from chunks that come one after the other [tokens_i, in].
class StatisticsSum {
 public:
  explicit StatisticsSum(Needs needs) : needs_(needs) {}
  // `factor` of x where H is needed, else null. A chunk without tokens adds nothing.
  void add(const at::Tensor& x, const model::TokenFactor* factor);
  int64_t tokens() const { return tokens_; }
  // The sum ends here. Errors: a NaN or infinity, naming `where` and the column.
  absl::StatusOr<InputStatistics> take(std::string_view where);

 private:
  Needs needs_;
  int64_t tokens_ = 0;
  std::vector<at::Tensor> moments_;  // by chunk [3, in] fp64: squares, magnitudes, maxima
  model::ProductSum products_{true};
};

// The same of chunks that are all there.
absl::StatusOr<InputStatistics> gather_statistics(
    const std::vector<at::Tensor>& chunks, Needs needs, std::string_view where,
    model::Precision precision = model::Precision::kFloat32);

// (A − B)ᵀ X / tokens, fp64 [a_columns, in]; chunk lists of equal token counts.
at::Tensor gather_drift(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b,
                        const std::vector<at::Tensor>& x,
                        model::Precision precision = model::Precision::kFloat32);

}  // namespace frugal::layerwise
