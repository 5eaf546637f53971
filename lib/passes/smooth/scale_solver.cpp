#include "passes/smooth/scale_solver.h"

#include <chrono>
#include <utility>

#include "architecture/tensors.h"
#include "base/text.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::passes {

using layerwise::LayerStore;
using layerwise::StageProblem;

namespace {

std::string scale_name(const std::string& stage) { return stage + ".scale"; }
std::string bounds_name(const std::string& matrix) { return matrix + ".bounds"; }

// The largest input of any channel over the mean of the channels' largest. 0 without any input.
double outlier_ratio(const at::Tensor& largest) {
  const double mean = largest.mean().item<double>();
  return mean > 0 ? largest.max().item<double>() / mean : 0;
}

}  // namespace

layerwise::Needs ScaleSolver::needs(const architecture::StageRef& at) const {
  if (at.layer == options_.config.layer_count())
    return layerwise::Needs::kNothing;  // the head is left alone
  if (options_.groups.at(at.stage).left_alone) return layerwise::Needs::kNothing;
  return options_.smoothquant ? layerwise::Needs::kMoments : layerwise::Needs::kHessian;
}

absl::StatusOr<at::Tensor> ScaleSolver::solve(const StageProblem& problem) {
  const auto start = std::chrono::steady_clock::now();
  const ScaleGroup& group = options_.groups.at(problem.at.stage);
  if (group.left_alone) return at::Tensor();
  layerwise::MatrixRecord record;
  record.set_stage(problem.at);
  record.group = group.stage;
  record.merged_into = std::string(architecture::stem(options_.config, group.source));
  at::Tensor scale;
  const at::Tensor& largest = problem.statistics.maximum_absolute;
  if (options_.smoothquant) {
    scale = layerwise::smoothquant_scale(problem.weights, largest, options_.alpha, group.sharing);
  } else {
    FRUGAL_ASSIGN_OR_RETURN(scale, awq(problem, group, record));
  }
  FRUGAL_RETURN_IF_ERROR(
      check_solved(options_.gate, {.name = problem.where, .tokens = problem.statistics.tokens}));
  record.outlier_ratio_before = outlier_ratio(largest);
  record.outlier_ratio = outlier_ratio(largest / scale);
  record.tokens = problem.statistics.tokens;
  keep(scale_name(group.stage), scale.to(at::kFloat));
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  record.seconds = span.count();
  keep(std::move(record));
  return at::Tensor();
}

absl::StatusOr<at::Tensor> ScaleSolver::awq(const StageProblem& problem, const ScaleGroup& group,
                                            layerwise::MatrixRecord& record) {
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(options_.grid, group.columns));
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::ScaleChoice choice,
                          layerwise::choose_scale(problem.weights, problem.statistics, grid,
                                                  options_.duo, group.sharing));
  const double reference =
      tensor::row_products(problem.weights, problem.statistics.hessian, problem.weights)
          .sum()
          .item<double>();
  FRUGAL_RETURN_IF_ERROR(check_solved(
      options_.gate, {.name = problem.where,
                      .how = base::str_cat("of rounding to grid ", options_.grid, " with scales"),
                      .error = relative_error(choice.loss, reference),
                      .remedy = "calibrate on more text or take a finer grid"}));
  record.ratio = choice.how.ratio;
  record.form = choice.how.duo ? "duo" : "plain";
  record.error_before = relative_error(choice.loss_plain, reference);
  record.error_after = relative_error(choice.loss, reference);
  record.squared_error_before = choice.loss_plain;
  record.squared_error = choice.loss;
  if (options_.clip) FRUGAL_RETURN_IF_ERROR(clip(problem, choice.scale, record));
  return choice.scale;
}

absl::Status ScaleSolver::clip(const StageProblem& problem, const at::Tensor& scale,
                               layerwise::MatrixRecord& record) {
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(options_.grid, scale.numel()));
  int64_t begin = 0;
  double before = 0, after = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const at::Tensor part = problem.weights.narrow(0, begin, problem.row_counts[i]);
    begin += problem.row_counts[i];
    if (is_query_or_key(options_.groups.at(problem.at.stage).matrices.at(i))) continue;
    const at::Tensor scaled = (part.to(at::kDouble) * scale).to(at::kFloat).contiguous();
    FRUGAL_ASSIGN_OR_RETURN(layerwise::ClipChoice choice,
                            layerwise::choose_clip(scaled, scale, problem.statistics, grid));
    before += choice.loss_plain;
    after += choice.loss;
    keep(bounds_name(problem.names[i]), choice.bounds);
  }
  FRUGAL_RETURN_IF_ERROR(check_solved({}, {.name = problem.where,
                                           .how = "of clipping over that without",
                                           .error = relative_error(after, before),
                                           .remedy = "leave clip out or calibrate on more text"}));
  record.clip_error_before = before;
  record.clip_error = after;
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> ScaleSolver::stored_scale(const LayerStore::Layer& layer,
                                                     const ScaleGroup& group) {
  return layer.tensor(scale_name(group.stage), {group.columns});
}

absl::StatusOr<at::Tensor> ScaleSolver::stored_bounds(const LayerStore::Layer& layer,
                                                      const std::string& matrix) {
  const std::string name = bounds_name(matrix);
  if (!layer.has(name)) return at::Tensor();
  return layer.tensor(name, layer.info(name).shape);
}

}  // namespace frugal::passes
