#include "passes/prune/width_solver.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cstring>
#include <utility>

#include "layerwise/gptq.h"
#include "layerwise/order.h"

namespace frugal::passes {

using layerwise::LayerStore;
using layerwise::StageProblem;

namespace {

constexpr const char* kKept = "kept";
constexpr const char* kDown = "down";

// The narrowed matrix in its old place: zeros at removed neurons. The forward is the same.
at::Tensor spread(const at::Tensor& narrowed, const std::vector<int64_t>& kept, int64_t neurons) {
  at::Tensor full = at::zeros({narrowed.size(0), neurons}, narrowed.options());
  return full.index_copy_(1, at::tensor(kept, at::kLong), narrowed);
}

template <typename T>
std::span<const std::byte> bytes_of(const T* data, size_t count) {
  return std::as_bytes(std::span<const T>(data, count));
}

template <typename T>
std::vector<T> values_of(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace

layerwise::Needs WidthSolver::needs(int64_t /*layer*/, size_t stage) const {
  if (stage != options_.out_stage) return layerwise::Needs::kNothing;
  if (options_.needs_hessian()) return layerwise::Needs::kHessian;
  return options_.score == layerwise::NeuronScore::kActivation ? layerwise::Needs::kMoments
                                                               : layerwise::Needs::kNothing;
}

absl::StatusOr<at::Tensor> WidthSolver::solve(const StageProblem& problem) {
  if (problem.stage == options_.in_stage) remember_magnitude(problem);
  if (problem.stage != options_.out_stage) return at::Tensor();
  return narrow(problem);
}

void WidthSolver::remember_magnitude(const StageProblem& problem) {
  magnitude_ = at::Tensor();
  int64_t begin = 0;
  for (const int64_t rows : problem.row_counts) {
    const at::Tensor norms =
        problem.weights.narrow(0, begin, rows).to(at::kDouble).square().sum(1).sqrt();
    magnitude_ = magnitude_.defined() ? magnitude_ * norms : norms;
    begin += rows;
  }
}

absl::StatusOr<at::Tensor> WidthSolver::narrow(const StageProblem& problem) {
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor& weights = problem.weights;
  const int64_t neurons = weights.size(1);
  layerwise::Factor factor;
  at::Tensor target = weights;
  if (options_.needs_hessian()) {
    FRUGAL_ASSIGN_OR_RETURN(
        factor, layerwise::factorize(problem.statistics.hessian, at::arange(neurons, at::kLong),
                                     options_.factor));
    target = layerwise::pre_correct(weights, problem.drift, factor, options_.asymmetry);
  }
  const at::Tensor down_norms = weights.to(at::kDouble).square().sum(0).sqrt();
  const layerwise::WidthProblem scores{.target = target,
                                       .mean_absolute = problem.statistics.mean_absolute,
                                       .magnitude = magnitude_ * down_norms,
                                       .factor = options_.needs_hessian() ? &factor : nullptr};
  kept_ = layerwise::choose_neurons(scores, options_.score, options_.keep);
  const at::Tensor cut = weights.index_select(1, at::tensor(kept_, at::kLong));
  narrowed_ = cut;
  if (options_.compensate) {
    FRUGAL_ASSIGN_OR_RETURN(narrowed_, layerwise::compensate(target, factor, kept_));
  }
  narrowed_ = narrowed_.to(options_.stored_type).to(at::kFloat).contiguous();
  const at::Tensor result = spread(narrowed_, kept_, neurons);
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  record(problem, target, spread(cut, kept_, neurons), result, factor, span.count());
  return result;
}

void WidthSolver::record(const StageProblem& problem, const at::Tensor& target,
                         const at::Tensor& before, const at::Tensor& after,
                         const layerwise::Factor& factor, double seconds) {
  base::Json row;
  row["layer"] = problem.layer;
  row["matrix"] = problem.names.front();
  row["grid"] = nullptr;
  row["error_before"] = nullptr;
  row["error_after"] = nullptr;
  if (problem.statistics.hessian.defined()) {
    const at::Tensor& hessian = problem.statistics.hessian;
    const layerwise::OutputError cut = layerwise::output_error(before, target, hessian);
    const layerwise::OutputError refitted = layerwise::output_error(after, target, hessian);
    row["error_before"] = base::finite_or_null(cut.relative());
    row["error_after"] = base::finite_or_null(refitted.relative());
    row["squared_error"] = base::finite_or_null(refitted.squared);
  }
  row["damping"] = factor.damping > 0 ? base::Json(factor.damping) : base::Json();
  row["recoveries"] = factor.recoveries;
  row["neurons"] = problem.weights.size(1);
  row["kept"] = options_.keep;
  row["tokens"] = problem.statistics.tokens;
  row["seconds"] = seconds;
  records_.push_back(std::move(row));
}

absl::Status WidthSolver::finish_layer(int64_t layer) {
  const std::vector<LayerStore::Tensor> tensors{
      {kKept, format::DType::kI64, {options_.keep}, bytes_of(kept_.data(), kept_.size())},
      {kDown,
       format::DType::kF32,
       {narrowed_.size(0), narrowed_.size(1)},
       bytes_of(narrowed_.const_data_ptr<float>(), static_cast<size_t>(narrowed_.numel()))}};
  const absl::Status status = store_.write(layer, tensors, records_);
  records_ = base::Json::array();
  return status;
}

absl::StatusOr<bool> WidthSolver::is_finished(int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(restored_, store_.read(layer));
  return restored_.has_value();
}

absl::StatusOr<at::Tensor> WidthSolver::restore(const StageProblem& problem) {
  if (problem.stage != options_.out_stage) return at::Tensor();
  const int64_t rows = problem.weights.size(0);
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept,
                          stored_neurons(*restored_, options_.keep));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values,
                          stored_weights(*restored_, rows, options_.keep));
  return spread(at::tensor(values, at::kFloat).view({rows, options_.keep}), kept,
                problem.weights.size(1));
}

absl::StatusOr<std::vector<int64_t>> WidthSolver::stored_neurons(const LayerStore::Layer& layer,
                                                                 int64_t keep) {
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, layer.bytes(kKept, format::DType::kI64, {keep}));
  return values_of<int64_t>(bytes);
}

absl::StatusOr<std::vector<float>> WidthSolver::stored_weights(const LayerStore::Layer& layer,
                                                               int64_t rows, int64_t keep) {
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, layer.bytes(kDown, format::DType::kF32, {rows, keep}));
  return values_of<float>(bytes);
}

}  // namespace frugal::passes
