#include "passes/prune/channel_solver.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "layerwise/rounding/gptq.h"
#include "passes/common/layer_gate.h"
#include "tensor/aten.h"

namespace frugal::passes {

using layerwise::StageProblem;

namespace {

constexpr int64_t kRowsAtOnce = 8192;  // bounds fp64 copies of a head

}  // namespace

int64_t ChannelSolver::dimension(const StageProblem& problem) const {
  return options_.uses.at(problem.names.front()) == architecture::StreamUse::kWrites ? 0 : 1;
}

at::Tensor ChannelSolver::refit(const StageProblem& problem, int64_t begin, int64_t count,
                                const layerwise::Factor& factor) const {
  layerwise::Drift drift = problem.drift;
  drift.output = drift.output.narrow(0, begin, count);
  if (drift.residual.defined()) drift.residual = drift.residual.narrow(0, begin, count);
  return layerwise::pre_correct(problem.weights.narrow(0, begin, count), drift, factor,
                                options_.drift_strength)
      .index_fill_(dimension(problem), at::tensor(options_.removed, at::kLong), 0)
      .to(options_.stored_type)
      .to(at::kFloat);
}

absl::StatusOr<at::Tensor> ChannelSolver::solve(const StageProblem& problem) {
  const auto start = std::chrono::steady_clock::now();
  const int64_t rows = problem.weights.size(0), across = dimension(problem);
  FRUGAL_ASSIGN_OR_RETURN(
      const layerwise::Factor factor,
      layerwise::factorize(problem.statistics.hessian,
                           at::arange(problem.weights.size(1), at::kLong), options_.factor));
  // Removed rows are counted over all of a writer's.
  const int64_t at_once = across == 0 ? rows : kRowsAtOnce;
  std::vector<at::Tensor> parts;
  layerwise::OutputError correction;
  for (int64_t begin = 0; begin < rows; begin += at_once) {
    const int64_t count = std::min(at_once, rows - begin);
    parts.push_back(refit(problem, begin, count, factor));
    const at::Tensor plain = problem.weights.narrow(0, begin, count)
                                 .index_fill(across, at::tensor(options_.removed, at::kLong), 0);
    const layerwise::OutputError part =
        layerwise::output_error(parts.back(), plain, problem.statistics.hessian);
    correction.squared += part.squared;
    correction.reference += part.reference;
  }
  const at::Tensor refitted = parts.size() == 1 ? parts.front() : tensor::concatenate(parts);
  const at::Tensor kept = at::tensor(options_.kept, at::kLong);
  const std::vector<at::Tensor> matrices = refitted.split_with_sizes(problem.row_counts, 0);
  for (size_t i = 0; i < matrices.size(); ++i)
    keep(problem.names[i], matrices[i].index_select(across, kept));
  FRUGAL_RETURN_IF_ERROR(
      check_solved({.max_error = LayerGate::kAnyError, .min_tokens = options_.min_tokens},
                   {.name = problem.names.front(),
                    .how = "of the cut matrix against the refitted one",
                    .error = relative_error(correction.squared, correction.reference),
                    .tokens = problem.statistics.tokens,
                    .remedy = "raise `damping` or calibrate on more text"}));
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  record(problem, factor, correction.relative(), span.count());
  return refitted;
}

// How far the output is from the original's is not known here: that one's second moment is not
// gathered. `correction`: how far the refit moved it, as a share of the cut matrix's output.
void ChannelSolver::record(const StageProblem& problem, const layerwise::Factor& factor,
                           double correction, double seconds) {
  layerwise::MatrixRecord row;
  row.set_stage(problem.at);
  row.matrix = problem.names.front();
  row.correction = correction;
  if (factor.damping > 0) row.damping = factor.damping;
  row.recoveries = factor.recoveries;
  row.dead_columns = static_cast<int64_t>(factor.dead.size());
  row.structures = "channels";
  row.count = static_cast<int64_t>(options_.kept.size() + options_.removed.size());
  row.kept = static_cast<int64_t>(options_.kept.size());
  row.tokens = problem.statistics.tokens;
  row.seconds = seconds;
  keep(std::move(row));
}

absl::StatusOr<at::Tensor> ChannelSolver::restore(const StageProblem& problem) {
  const int64_t across = dimension(problem), columns = problem.weights.size(1);
  const auto channels = static_cast<int64_t>(options_.kept.size());
  const at::Tensor kept = at::tensor(options_.kept, at::kLong);
  const at::Tensor weights = at::zeros_like(problem.weights);
  int64_t begin = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const int64_t rows = problem.row_counts[i];
    std::vector<int64_t> shape = {rows, columns};
    shape[static_cast<size_t>(across)] = channels;
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor narrow, stored().tensor(problem.names[i], shape));
    weights.narrow(0, begin, rows).index_copy_(across, kept, narrow);
    begin += rows;
  }
  return weights;
}

}  // namespace frugal::passes
