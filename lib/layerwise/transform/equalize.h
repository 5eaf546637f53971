// Channel scales that make a stage easier to round, and clipping of its weights.
//
// Input channel j of a stage's stacked matrices W [R, in] is multiplied by s_j and the weight that
// made it divided by s_j: the outputs stay as they are, what rounding W·diag(s) loses does not.
// AWQ (Lin et al. 2023, arXiv 2306.00978) takes s_j = mean|x_j|^ρ and tries ρ = 0, .05, .., .95;
// the loss is tr(ΔW H ΔWᵀ) with ΔW = Q(W·diag(s))·diag(s)⁻¹ − W, without a forward per ratio.
// SmoothQuant (Xiao et al. 2022) takes s_j = max|x_j|^α / max_r|W_rj|^(1−α).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "grid/grid.h"
#include "layerwise/walk/statistics.h"

namespace frugal::layerwise {

// Which input channels must have one scale because one row makes them all: the input is
// [runs, copies, size], channels that differ in the copy alone are tied (attention heads that
// share a value head). copies = 1: none.
struct Sharing {
  int64_t copies = 1;
  int64_t size = 1;
};

// values [in] -> [in], each the mean or the largest of those tied to it.
enum class Pooling { kMean, kLargest };
at::Tensor pool_shared(const at::Tensor& values, const Sharing& sharing, Pooling pooling);
// One value of each tied set: [in] -> [in / copies], in the order of the rows that make them.
at::Tensor source_values(const at::Tensor& values, const Sharing& sharing);

// How an AWQ scale came about.
struct RatioScale {
  double ratio = 0;  // ρ; 0 without `duo`: all ones
  bool duo = false;  // x^ρ / (w̄^(1−ρ) + 1e-4), w̄ = mean over rows of |W| over its group's largest
};

// Scales [in] fp64 with fp32 values, positive, √(max · min) = 1. `weights` [R, in]; `group`:
// columns of w̄'s groups (duo), divides in.
at::Tensor awq_scale(const at::Tensor& weights, const at::Tensor& mean_absolute,
                     const RatioScale& how, int64_t group, const Sharing& sharing);
// Scales as above but not normalized; at least 1e-5.
at::Tensor smoothquant_scale(const at::Tensor& weights, const at::Tensor& maximum_absolute,
                             double alpha, const Sharing& sharing);

// tr(ΔW H ΔWᵀ) of W·diag(scale) rounded to nearest on `grid` with searched scales weighted by the
// importance E[x²] / s². statistics: down to the Hessian.
absl::StatusOr<double> rounding_loss(const at::Tensor& weights, const at::Tensor& scale,
                                     const InputStatistics& statistics,
                                     const std::shared_ptr<const grid::Grid>& grid);

struct ScaleChoice {
  at::Tensor scale;  // [in] fp64
  RatioScale how;
  double loss = 0;        // of the choice
  double loss_plain = 0;  // of all ones; never smaller
};
// The best of all ratios (with `duo`, in both forms); ties keep the smaller ratio.
absl::StatusOr<ScaleChoice> choose_scale(const at::Tensor& weights,
                                         const InputStatistics& statistics,
                                         const std::shared_ptr<const grid::Grid>& grid, bool duo,
                                         const Sharing& sharing);

// For each row and group of the grid the largest absolute value that a weight keeps: the best of
// 1, .95, .., .55 of the largest there, by the group's own block of H. `weights` are scaled
// (W·diag(s)); loss as above, but of the blocks of H on its diagonal alone.
struct ClipChoice {
  at::Tensor bounds;      // [R, in / group] fp32
  double loss = 0;        // with the bounds, against the weights that were not clipped
  double loss_plain = 0;  // without; never smaller
};
absl::StatusOr<ClipChoice> choose_clip(const at::Tensor& weights, const at::Tensor& scale,
                                       const InputStatistics& statistics,
                                       const std::shared_ptr<const grid::Grid>& grid);
// Weights [R, in] of any float type, limited to ±bounds [R, groups].
at::Tensor clip(const at::Tensor& weights, const at::Tensor& bounds);

}  // namespace frugal::layerwise
