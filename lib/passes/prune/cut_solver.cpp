// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/cut_solver.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/order.h"

namespace frugal::passes {

using layerwise::LayerStore;
using layerwise::StageProblem;

namespace {

std::string kept_name(const Cut& cut) { return base::str_cat(cut.what, ".kept"); }
std::string reader_name(const Cut& cut) { return base::str_cat(cut.what, ".reader"); }

// The narrowed matrix in its old place: zeros at removed columns. The forward is the same.
at::Tensor spread(const at::Tensor& narrowed, const std::vector<int64_t>& columns, int64_t width) {
  at::Tensor full = at::zeros({narrowed.size(0), width}, narrowed.options());
  return full.index_copy_(1, at::tensor(columns, at::kLong), narrowed);
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

bool is_one_of(const std::string& name, const std::vector<std::string>& matrices) {
  return std::any_of(matrices.begin(), matrices.end(), [&](const std::string& matrix) {
    return name.ends_with(base::str_cat(".", matrix, ".weight"));
  });
}

// The error after, where there is H to measure it by.
std::optional<double> add_errors(base::Json& row, const at::Tensor& before, const at::Tensor& after,
                                 const at::Tensor& target, const at::Tensor& hessian) {
  row["error_before"] = nullptr;
  row["error_after"] = nullptr;
  if (!hessian.defined()) return std::nullopt;
  const layerwise::OutputError cut = layerwise::output_error(before, target, hessian);
  const layerwise::OutputError refitted = layerwise::output_error(after, target, hessian);
  row["error_before"] = base::finite_or_null(cut.relative());
  row["error_after"] = base::finite_or_null(refitted.relative());
  row["squared_error"] = base::finite_or_null(refitted.squared);
  return relative_error(refitted.squared, refitted.reference);
}

}  // namespace

const Cut* CutOptions::read_by(size_t stage) const {
  const auto found = std::find_if(cuts.begin(), cuts.end(),
                                  [&](const Cut& cut) { return cut.out_stage == stage; });
  return found == cuts.end() ? nullptr : &*found;
}

layerwise::Needs CutSolver::needs(int64_t /*layer*/, size_t stage) const {
  if (options_.read_by(stage) == nullptr) return layerwise::Needs::kNothing;
  if (options_.needs_hessian()) return layerwise::Needs::kHessian;
  return options_.measures() ? layerwise::Needs::kMoments : layerwise::Needs::kNothing;
}

absl::StatusOr<at::Tensor> CutSolver::solve(const StageProblem& problem) {
  for (const Cut& cut : options_.cuts) {
    if (cut.in_stage == problem.stage) remember_magnitude(problem, cut);
  }
  const Cut* const cut = options_.read_by(problem.stage);
  if (cut == nullptr) return at::Tensor();
  return narrow(problem, *cut);
}

void CutSolver::remember_magnitude(const StageProblem& problem, const Cut& cut) {
  at::Tensor magnitude = at::ones({cut.count}, at::kDouble);
  int64_t begin = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const int64_t rows = problem.row_counts[i];
    if (is_one_of(problem.names[i], cut.rows)) {
      const at::Tensor squares =
          problem.weights.narrow(0, begin, rows).to(at::kDouble).square().sum(1);
      magnitude *= squares.view({cut.count, rows / cut.count}).sum(1).sqrt();
    }
    begin += rows;
  }
  magnitude_[cut.in_stage] = magnitude;
}

absl::StatusOr<at::Tensor> CutSolver::narrow(const StageProblem& problem, const Cut& cut) {
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor& weights = problem.weights;
  const int64_t columns = weights.size(1);
  layerwise::Factor factor;
  at::Tensor target = weights;
  if (options_.needs_hessian()) {
    FRUGAL_ASSIGN_OR_RETURN(
        factor, layerwise::factorize(problem.statistics.hessian, at::arange(columns, at::kLong),
                                     options_.factor));
    target = layerwise::pre_correct(weights, problem.drift, factor, options_.asymmetry);
  }
  const at::Tensor norms =
      weights.to(at::kDouble).square().sum(0).view({cut.count, cut.unit}).sum(1).sqrt();
  const layerwise::WidthProblem scores{.target = target,
                                       .mean_absolute = problem.statistics.mean_absolute,
                                       .magnitude = magnitude_.at(cut.in_stage) * norms,
                                       .factor = options_.needs_hessian() ? &factor : nullptr,
                                       .unit = cut.unit,
                                       .groups = cut.groups};
  Done done;
  done.kept = layerwise::choose_structures(scores, options_.score, cut.keep);
  const std::vector<int64_t> kept = layerwise::elements_of(done.kept, cut.unit);
  const at::Tensor plain = weights.index_select(1, at::tensor(kept, at::kLong));
  done.narrowed = plain;
  if (options_.compensate) {
    FRUGAL_ASSIGN_OR_RETURN(done.narrowed, layerwise::compensate(target, factor, kept));
  }
  done.narrowed = done.narrowed.to(options_.stored_type).to(at::kFloat).contiguous();
  const at::Tensor result = spread(done.narrowed, kept, columns);
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  base::Json row = record(problem, cut, factor);
  row["seconds"] = span.count();
  const std::optional<double> error =
      add_errors(row, spread(plain, kept, columns), result, target, problem.statistics.hessian);
  FRUGAL_RETURN_IF_ERROR(check_solved(
      options_.gate,
      {.name = problem.names.front(),
       .how = base::str_cat("with ", cut.keep, " of ", cut.count, " ", cut.what),
       .error = error,
       .tokens = options_.measures() ? std::optional(problem.statistics.tokens) : std::nullopt,
       .remedy = "keep more, raise `damping` or calibrate on more text"}));
  records_.push_back(std::move(row));
  done_[cut.out_stage] = std::move(done);
  return result;
}

base::Json CutSolver::record(const StageProblem& problem, const Cut& cut,
                             const layerwise::Factor& factor) const {
  base::Json row;
  row["layer"] = problem.layer;
  row["matrix"] = problem.names.front();
  row["grid"] = nullptr;
  row["damping"] = factor.damping > 0 ? base::Json(factor.damping) : base::Json();
  row["recoveries"] = factor.recoveries;
  row["dead_columns"] = options_.needs_hessian() ? base::Json(factor.dead.size()) : base::Json();
  row["structures"] = cut.what;
  row["count"] = cut.count;
  row["kept"] = cut.keep;
  row["tokens"] = problem.statistics.tokens;
  return row;
}

absl::Status CutSolver::finish_layer(int64_t layer) {
  std::vector<LayerStore::Tensor> tensors;
  for (const Cut& cut : options_.cuts) {
    const Done& done = done_.at(cut.out_stage);
    tensors.push_back({kept_name(cut),
                       format::DType::kI64,
                       {cut.keep},
                       bytes_of(done.kept.data(), done.kept.size())});
    tensors.push_back({reader_name(cut),
                       format::DType::kF32,
                       {done.narrowed.size(0), done.narrowed.size(1)},
                       bytes_of(done.narrowed.const_data_ptr<float>(),
                                static_cast<size_t>(done.narrowed.numel()))});
  }
  const absl::Status status = store_.write(layer, tensors, records_);
  records_ = base::Json::array();
  done_.clear();
  return status;
}

absl::StatusOr<bool> CutSolver::is_finished(int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(restored_, store_.read(layer));
  return restored_.has_value();
}

absl::StatusOr<at::Tensor> CutSolver::restore(const StageProblem& problem) {
  const Cut* const cut = options_.read_by(problem.stage);
  if (cut == nullptr) return at::Tensor();
  const int64_t rows = problem.weights.size(0);
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept, stored_structures(*restored_, *cut));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, stored_weights(*restored_, *cut, rows));
  return spread(at::tensor(values, at::kFloat).view({rows, cut->kept_columns()}),
                layerwise::elements_of(kept, cut->unit), problem.weights.size(1));
}

absl::StatusOr<std::vector<int64_t>> CutSolver::stored_structures(const LayerStore::Layer& layer,
                                                                  const Cut& cut) {
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes,
                          layer.bytes(kept_name(cut), format::DType::kI64, {cut.keep}));
  std::vector<int64_t> kept = values_of<int64_t>(bytes);
  for (const int64_t structure : kept) {
    if (structure < 0 || structure >= cut.count)
      return base::data_loss("a stored layer keeps ", cut.what, " ", structure, " of ", cut.count);
  }
  return kept;
}

absl::StatusOr<std::vector<float>> CutSolver::stored_weights(const LayerStore::Layer& layer,
                                                             const Cut& cut, int64_t rows) {
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, layer.bytes(reader_name(cut), format::DType::kF32,
                                                        {rows, cut.kept_columns()}));
  return values_of<float>(bytes);
}

}  // namespace frugal::passes
