// Tested by: tests/passes/smooth_test.cpp
#include "passes/smooth/scale_solver.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "tensor/tiles.h"

namespace frugal::passes {

using layerwise::LayerStore;
using layerwise::StageProblem;

namespace {

std::string scale_name(const std::string& stage) { return stage + ".scale"; }
std::string bounds_name(const std::string& matrix) { return matrix + ".bounds"; }

// How uneven the largest inputs of the channels are: their largest over their mean. 0 without any.
double unevenness(const at::Tensor& largest) {
  const double mean = largest.mean().item<double>();
  return mean > 0 ? largest.max().item<double>() / mean : 0;
}

absl::StatusOr<at::Tensor> stored_tensor(const LayerStore::Layer& layer, const std::string& name,
                                         const std::vector<int64_t>& shape) {
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, layer.bytes(name, format::DType::kF32, shape));
  at::Tensor result = at::empty(shape, at::kFloat);
  std::memcpy(result.mutable_data_ptr<float>(), bytes.data(), bytes.size());
  return result;
}

base::Json first_columns(const StageProblem& problem, const ScaleGroup& group) {
  return {{"layer", problem.layer}, {"group", group.stage}, {"merged_into", group.source}};
}

}  // namespace

layerwise::Needs ScaleSolver::needs(int64_t layer, size_t /*stage*/) const {
  if (layer == options_.layer_count) return layerwise::Needs::kNothing;  // the head is left alone
  return options_.smoothquant ? layerwise::Needs::kMoments : layerwise::Needs::kHessian;
}

absl::StatusOr<at::Tensor> ScaleSolver::solve(const StageProblem& problem) {
  const auto start = std::chrono::steady_clock::now();
  const ScaleGroup& group = options_.groups.at(problem.stage);
  base::Json record = first_columns(problem, group);
  at::Tensor scale;
  const at::Tensor& largest = problem.statistics.maximum_absolute;
  if (options_.smoothquant) {
    scale = layerwise::smoothquant_scale(problem.weights, largest, options_.alpha, group.sharing);
  } else {
    FRUGAL_ASSIGN_OR_RETURN(scale, awq(problem, group, record));
  }
  FRUGAL_RETURN_IF_ERROR(
      check_solved(options_.gate, {.name = problem.where, .tokens = problem.statistics.tokens}));
  record["unevenness_before"] = unevenness(largest);
  record["unevenness"] = unevenness(largest / scale);
  record["tokens"] = problem.statistics.tokens;
  finished_[scale_name(group.stage)] = scale.to(at::kFloat).contiguous();
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  record["seconds"] = span.count();
  records_.push_back(std::move(record));
  return at::Tensor();
}

absl::StatusOr<at::Tensor> ScaleSolver::awq(const StageProblem& problem, const ScaleGroup& group,
                                            base::Json& record) {
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(options_.grid, group.columns));
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::ScaleChoice choice,
                          layerwise::choose_scale(problem.weights, problem.statistics, grid,
                                                  options_.duo, group.sharing));
  const double reference =
      tensor::row_products(problem.weights, problem.statistics.hessian, problem.weights)
          .sum()
          .item<double>();
  const auto relative = [&](double loss) {
    return base::finite_or_null(relative_error(loss, reference));
  };
  FRUGAL_RETURN_IF_ERROR(check_solved(
      options_.gate, {.name = problem.where,
                      .how = base::str_cat("of rounding to grid ", options_.grid, " with scales"),
                      .error = relative_error(choice.loss, reference),
                      .remedy = "calibrate on more text or take a finer grid"}));
  record["ratio"] = choice.how.ratio;
  record["form"] = choice.how.duo ? "duo" : "plain";
  record["error_before"] = relative(choice.loss_plain);
  record["error_after"] = relative(choice.loss);
  record["squared_error_before"] = choice.loss_plain;
  record["squared_error"] = choice.loss;
  if (options_.clip) FRUGAL_RETURN_IF_ERROR(clip(problem, choice.scale, record));
  return choice.scale;
}

absl::Status ScaleSolver::clip(const StageProblem& problem, const at::Tensor& scale,
                               base::Json& record) {
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(options_.grid, scale.numel()));
  int64_t begin = 0;
  double before = 0, after = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const at::Tensor part = problem.weights.narrow(0, begin, problem.row_counts[i]);
    begin += problem.row_counts[i];
    if (makes_scores(problem.names[i])) continue;
    const at::Tensor scaled = (part.to(at::kDouble) * scale).to(at::kFloat).contiguous();
    FRUGAL_ASSIGN_OR_RETURN(layerwise::ClipChoice choice,
                            layerwise::choose_clip(scaled, scale, problem.statistics, grid));
    before += choice.loss_plain;
    after += choice.loss;
    finished_[bounds_name(problem.names[i])] = choice.bounds.contiguous();
  }
  FRUGAL_RETURN_IF_ERROR(check_solved({}, {.name = problem.where,
                                           .how = "of clipping over that without",
                                           .error = relative_error(after, before),
                                           .remedy = "leave clip out or calibrate on more text"}));
  record["clip_error_before"] = before;
  record["clip_error"] = after;
  return absl::OkStatus();
}

absl::Status ScaleSolver::finish_layer(int64_t layer) {
  std::vector<LayerStore::Tensor> tensors;
  for (const auto& [name, value] : finished_) {
    tensors.push_back({name, format::DType::kF32, value.sizes().vec(),
                       std::as_bytes(std::span<const float>(value.const_data_ptr<float>(),
                                                            static_cast<size_t>(value.numel())))});
  }
  const absl::Status status = store_.write(layer, tensors, records_);
  finished_.clear();
  records_ = base::Json::array();
  return status;
}

absl::StatusOr<bool> ScaleSolver::is_finished(int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(const auto stored, store_.read(layer));
  return stored.has_value();
}

absl::StatusOr<at::Tensor> ScaleSolver::stored_scale(const LayerStore::Layer& layer,
                                                     const ScaleGroup& group) {
  return stored_tensor(layer, scale_name(group.stage), {group.columns});
}

absl::StatusOr<at::Tensor> ScaleSolver::stored_bounds(const LayerStore::Layer& layer,
                                                      const std::string& matrix) {
  const std::string name = bounds_name(matrix);
  if (!layer.has(name)) return at::Tensor();
  return stored_tensor(layer, name, layer.info(name).shape);
}

}  // namespace frugal::passes
