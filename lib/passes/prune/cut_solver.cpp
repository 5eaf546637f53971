// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/cut_solver.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/order.h"
#include "tensor/aten.h"

namespace frugal::passes {

using layerwise::LayerStore;
using layerwise::StageProblem;

namespace {

// What is stored of a cut; each expert has its own.
std::string stored_name(const Cut& cut, std::string_view part) {
  return cut.expert == architecture::kNoExpert
             ? base::str_cat(cut.what, ".", part)
             : base::str_cat(cut.what, ".expert_", cut.expert, ".", part);
}
std::string kept_name(const Cut& cut) { return stored_name(cut, "kept"); }
std::string reader_name(const Cut& cut) { return stored_name(cut, "reader"); }

// The narrowed matrix in its old place: zeros at removed columns. The forward is the same.
at::Tensor spread(const at::Tensor& narrowed, const std::vector<int64_t>& columns, int64_t width) {
  at::Tensor full = at::zeros({narrowed.size(0), width}, narrowed.options());
  return full.index_copy_(1, at::tensor(columns, at::kLong), narrowed);
}

// The error after, where there is H to measure it by.
std::optional<double> add_errors(layerwise::MatrixRecord& row, const at::Tensor& before,
                                 const at::Tensor& after, const at::Tensor& target,
                                 const at::Tensor& hessian) {
  if (!hessian.defined()) return std::nullopt;
  const layerwise::OutputError cut = layerwise::output_error(before, target, hessian);
  const layerwise::OutputError refitted = layerwise::output_error(after, target, hessian);
  row.error_before = cut.relative();
  row.error_after = refitted.relative();
  row.squared_error = refitted.squared;
  return relative_error(refitted.squared, refitted.reference);
}

}  // namespace

const Cut* CutOptions::read_by(size_t stage) const {
  const auto found = std::find_if(cuts.begin(), cuts.end(),
                                  [&](const Cut& cut) { return cut.out_stage == stage; });
  return found == cuts.end() ? nullptr : &*found;
}

layerwise::Needs CutSolver::needs(const architecture::StageRef& at) const {
  if (options_.read_by(at.stage) == nullptr) return layerwise::Needs::kNothing;
  if (options_.needs_hessian()) return layerwise::Needs::kHessian;
  return options_.measures() ? layerwise::Needs::kMoments : layerwise::Needs::kNothing;
}

absl::StatusOr<at::Tensor> CutSolver::solve(const StageProblem& problem) {
  for (const Cut& cut : options_.cuts) {
    if (cut.in_stage == problem.at.stage) remember_magnitude(problem, cut);
  }
  const Cut* const cut = options_.read_by(problem.at.stage);
  if (cut == nullptr) return at::Tensor();
  return narrow(problem, *cut);
}

void CutSolver::remember_magnitude(const StageProblem& problem, const Cut& cut) {
  at::Tensor magnitude = at::ones({cut.count}, at::kDouble);
  int64_t begin = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const int64_t rows = problem.row_counts[i];
    if (cut.goes_along(problem.roles[i])) {
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
    target = layerwise::pre_correct(weights, problem.drift, factor, options_.drift_strength);
  }
  const at::Tensor norms =
      weights.to(at::kDouble).square().sum(0).view({cut.count, cut.unit}).sum(1).sqrt();
  const layerwise::WidthProblem scores{.target = target,
                                       .mean_absolute = problem.statistics.mean_absolute,
                                       .magnitude = magnitude_.at(cut.in_stage) * norms,
                                       .factor = options_.needs_hessian() ? &factor : nullptr,
                                       .unit = cut.unit,
                                       .groups = cut.groups};
  const std::vector<int64_t> structures =
      layerwise::choose_structures(scores, options_.score, cut.keep);
  const std::vector<int64_t> kept = layerwise::elements_of(structures, cut.unit);
  const at::Tensor plain = weights.index_select(1, at::tensor(kept, at::kLong));
  at::Tensor narrowed = plain;
  if (options_.compensate) {
    FRUGAL_ASSIGN_OR_RETURN(narrowed, layerwise::compensate(target, factor, kept));
  }
  narrowed = narrowed.to(options_.stored_type).to(at::kFloat).contiguous();
  const at::Tensor result = spread(narrowed, kept, columns);
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  layerwise::MatrixRecord row = record(problem, cut, factor);
  row.seconds = span.count();
  const std::optional<double> error =
      add_errors(row, spread(plain, kept, columns), result, target, problem.statistics.hessian);
  FRUGAL_RETURN_IF_ERROR(check_solved(
      options_.gate,
      {.name = problem.names.front(),
       .how = base::str_cat("with ", cut.keep, " of ", cut.count, " ", cut.what),
       .error = error,
       .tokens = options_.measures() ? std::optional(problem.statistics.tokens) : std::nullopt,
       .remedy = "keep more, raise `damping` or calibrate on more text"}));
  keep(std::move(row));
  keep(kept_name(cut), at::tensor(structures, at::kLong));
  keep(reader_name(cut), narrowed);
  return result;
}

layerwise::MatrixRecord CutSolver::record(const StageProblem& problem, const Cut& cut,
                                          const layerwise::Factor& factor) const {
  layerwise::MatrixRecord row;
  row.set_stage(problem.at);
  row.matrix = problem.names.front();
  if (factor.damping > 0) row.damping = factor.damping;
  row.recoveries = factor.recoveries;
  if (options_.needs_hessian()) row.dead_columns = static_cast<int64_t>(factor.dead.size());
  row.structures = cut.what;
  row.count = cut.count;
  row.kept = cut.keep;
  row.set_statistics(problem.statistics);
  return row;
}

absl::StatusOr<at::Tensor> CutSolver::restore(const StageProblem& problem) {
  const Cut* const cut = options_.read_by(problem.at.stage);
  if (cut == nullptr) return at::Tensor();
  const int64_t rows = problem.weights.size(0);
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept, stored_structures(stored(), *cut));
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor narrowed, stored_weights(stored(), *cut, rows));
  return spread(narrowed, layerwise::elements_of(kept, cut->unit), problem.weights.size(1));
}

absl::StatusOr<std::vector<int64_t>> CutSolver::stored_structures(const LayerStore::Layer& layer,
                                                                  const Cut& cut) {
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor values,
                          layer.tensor(kept_name(cut), {cut.keep}, at::kLong));
  const int64_t* const begin = values.const_data_ptr<int64_t>();
  const std::vector<int64_t> kept(begin, begin + values.numel());
  for (const int64_t structure : kept) {
    if (structure < 0 || structure >= cut.count)
      return base::data_loss("a stored layer keeps ", cut.what, " ", structure, " of ", cut.count);
  }
  return kept;
}

absl::StatusOr<at::Tensor> CutSolver::stored_weights(const LayerStore::Layer& layer, const Cut& cut,
                                                     int64_t rows) {
  return layer.tensor(reader_name(cut), {rows, cut.kept_columns()});
}

}  // namespace frugal::passes
