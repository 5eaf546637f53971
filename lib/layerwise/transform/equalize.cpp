#include "layerwise/transform/equalize.h"

#include <algorithm>
#include <vector>

#include "layerwise/rounding/gptq.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr int kRatios = 20;  // 0, .05, .., .95
constexpr double kRatioStep = 0.05;
constexpr int kShrinks = 10;  // 1, .95, .., .55
constexpr double kShrinkStep = 0.05;
constexpr double kLeastAwq = 1e-4, kLeastSmoothQuant = 1e-5;  // of the reference implementations

void check_sharing(const at::Tensor& values, const Sharing& sharing) {
  const int64_t period = sharing.copies * sharing.size;
  TORCH_CHECK(sharing.copies >= 1 && sharing.size >= 1 && values.numel() % period == 0,
              values.numel(), " channels are no runs of ", sharing.copies, " x ", sharing.size);
}

// Both sides of the exchange use the very number that is stored.
at::Tensor storable(const at::Tensor& scale) { return scale.to(at::kFloat).to(at::kDouble); }

at::Tensor mean_relative_weight(const at::Tensor& weights, int64_t group) {
  at::Tensor result;
  tensor::for_each_tile(1, [&](int64_t) {  // serial: one order of additions
    const at::Tensor groups = weights.to(at::kDouble).abs().view({weights.size(0), -1, group});
    const at::Tensor largest = groups.amax(-1, /*keepdim=*/true).clamp_min(kLeastAwq);
    result = (groups / largest).mean(0).flatten();
  });
  return result;
}

double total(const at::Tensor& values) {  // in their order, whatever the number of threads
  const at::Tensor list = values.to(at::kDouble).contiguous().flatten();
  const double* data = list.const_data_ptr<double>();
  double sum = 0;
  for (int64_t i = 0; i < list.numel(); ++i) sum += data[i];
  return sum;
}

at::Tensor scaled(const at::Tensor& weights, const at::Tensor& scale) {
  return (weights.to(at::kDouble) * scale).to(at::kFloat).contiguous();
}

// W·diag(s) after rounding, less W·diag(s), in the columns' original units [R, in] fp32.
absl::StatusOr<at::Tensor> rounding_error(const at::Tensor& given, const at::Tensor& reference,
                                          const at::Tensor& scale,
                                          const InputStatistics& statistics,
                                          const std::shared_ptr<const grid::Grid>& grid) {
  FRUGAL_ASSIGN_OR_RETURN(
      const grid::QuantizedMatrix rounded,
      round_to_nearest(given, statistics.mean_square / scale.square(), grid, true));
  return ((decode(rounded) - reference) / scale).to(at::kFloat);
}

double weighted(const at::Tensor& error, const at::Tensor& hessian) {
  return total(
      tensor::matrix_product(error, hessian.to(at::kFloat)).mul_(error).sum(1, false, at::kDouble));
}

// e_g H_gg e_gᵀ of each row and group: [R, in / group] fp64.
at::Tensor block_losses(const at::Tensor& error, const at::Tensor& hessian, int64_t group) {
  const int64_t groups = error.size(1) / group;
  const at::Tensor losses = at::empty({error.size(0), groups}, at::kDouble);
  tensor::for_each_tile(groups, [&](int64_t g) {
    const at::Tensor e = error.narrow(1, g * group, group).to(at::kDouble);
    const at::Tensor h = hessian.narrow(0, g * group, group).narrow(1, g * group, group);
    losses.select(1, g).copy_(at::mm(e, h).mul_(e).sum(1));
  });
  return losses;
}

}  // namespace

at::Tensor pool_shared(const at::Tensor& values, const Sharing& sharing, Pooling pooling) {
  check_sharing(values, sharing);
  const at::Tensor runs = values.view({-1, sharing.copies, sharing.size});
  const at::Tensor pooled =
      pooling == Pooling::kMean ? runs.mean(1, /*keepdim=*/true) : runs.amax(1, /*keepdim=*/true);
  return pooled.expand_as(runs).reshape({-1});
}

at::Tensor source_values(const at::Tensor& values, const Sharing& sharing) {
  check_sharing(values, sharing);
  return values.view({-1, sharing.copies, sharing.size}).select(1, 0).reshape({-1});
}

at::Tensor awq_scale(const at::Tensor& weights, const at::Tensor& mean_absolute,
                     const RatioScale& how, int64_t group, const Sharing& sharing) {
  const at::Tensor x = pool_shared(mean_absolute.to(at::kDouble), sharing, Pooling::kMean);
  at::Tensor scale = x.pow(how.ratio);
  if (how.duo) {
    const at::Tensor w = pool_shared(mean_relative_weight(weights, group), sharing, Pooling::kMean);
    scale = scale / (w.pow(1 - how.ratio) + kLeastAwq);
  }
  scale = scale.clamp_min(kLeastAwq);
  return storable(scale / (scale.max() * scale.min()).sqrt());
}

at::Tensor smoothquant_scale(const at::Tensor& weights, const at::Tensor& maximum_absolute,
                             double alpha, const Sharing& sharing) {
  const at::Tensor x = pool_shared(maximum_absolute.to(at::kDouble), sharing, Pooling::kLargest);
  const at::Tensor w =
      pool_shared(weights.to(at::kDouble).abs().amax(0), sharing, Pooling::kLargest);
  const at::Tensor scale =
      x.clamp_min(kLeastSmoothQuant).pow(alpha) / w.clamp_min(kLeastSmoothQuant).pow(1 - alpha);
  return storable(scale.clamp_min(kLeastSmoothQuant));
}

absl::StatusOr<double> rounding_loss(const at::Tensor& weights, const at::Tensor& scale,
                                     const InputStatistics& statistics,
                                     const std::shared_ptr<const grid::Grid>& grid) {
  const at::Tensor given = scaled(weights, scale);
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor error,
                          rounding_error(given, given, scale, statistics, grid));
  return weighted(error, statistics.hessian);
}

absl::StatusOr<ScaleChoice> choose_scale(const at::Tensor& weights,
                                         const InputStatistics& statistics,
                                         const std::shared_ptr<const grid::Grid>& grid, bool duo,
                                         const Sharing& sharing) {
  ScaleChoice best;
  best.scale = at::ones({weights.size(1)}, at::kDouble);
  FRUGAL_ASSIGN_OR_RETURN(best.loss_plain, rounding_loss(weights, best.scale, statistics, grid));
  best.loss = best.loss_plain;
  for (const bool form : {false, true}) {
    if (form && !duo) break;
    for (int i = form ? 0 : 1; i < kRatios; ++i) {  // ρ = 0 of the plain form: all ones
      const RatioScale how{i * kRatioStep, form};
      const at::Tensor scale =
          awq_scale(weights, statistics.mean_absolute, how, grid->spec().group_columns, sharing);
      FRUGAL_ASSIGN_OR_RETURN(const double loss, rounding_loss(weights, scale, statistics, grid));
      if (!(loss < best.loss)) continue;
      best.scale = scale;
      best.how = how;
      best.loss = loss;
    }
  }
  return best;
}

at::Tensor clip(const at::Tensor& weights, const at::Tensor& bounds) {
  TORCH_CHECK(weights.dim() == 2 && bounds.dim() == 2 && bounds.size(0) == weights.size(0) &&
                  weights.size(1) % bounds.size(1) == 0,
              "bounds ", bounds.sizes(), " do not fit weights ", weights.sizes());
  const at::Tensor limit = bounds.unsqueeze(2).to(weights.scalar_type());
  const at::Tensor groups = weights.view({bounds.size(0), bounds.size(1), -1});
  return at::minimum(at::maximum(groups, -limit), limit).view_as(weights);
}

absl::StatusOr<ClipChoice> choose_clip(const at::Tensor& weights, const at::Tensor& scale,
                                       const InputStatistics& statistics,
                                       const std::shared_ptr<const grid::Grid>& grid) {
  const int64_t group = grid->spec().group_columns;
  const at::Tensor largest =
      weights.to(at::kFloat).abs().view({weights.size(0), -1, group}).amax(-1);
  ClipChoice best;
  at::Tensor losses;
  for (int i = 0; i < kShrinks; ++i) {
    const at::Tensor bounds = largest * (1 - i * kShrinkStep);
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor error, rounding_error(clip(weights, bounds), weights,
                                                                   scale, statistics, grid));
    const at::Tensor found = block_losses(error, statistics.hessian, group);
    if (i == 0) {
      best.bounds = bounds;
      losses = found;
      best.loss_plain = total(found);
      continue;
    }
    const at::Tensor better = found < losses;
    best.bounds = at::where(better, bounds, best.bounds);
    losses = at::where(better, found, losses);
  }
  best.loss = total(losses);
  return best;
}

}  // namespace frugal::layerwise
