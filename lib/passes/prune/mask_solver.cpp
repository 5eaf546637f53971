// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/mask_solver.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "base/text.h"
#include "layerwise/pruning/width.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::passes {

using layerwise::StageProblem;
using layerwise::WeightScore;

namespace {

// Calls `use(i, first row, rows)` for every matrix of a stack.
void for_each_matrix(const StageProblem& problem,
                     const std::function<void(size_t, int64_t, int64_t)>& use) {
  int64_t begin = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    use(i, begin, problem.row_counts[i]);
    begin += problem.row_counts[i];
  }
}

}  // namespace

const MaskOptions::Target& MaskSolver::target(const std::string& name) const {
  return options_.targets.find(name)->second;
}

bool MaskSolver::sparse(const StageProblem& problem) const {
  return std::any_of(problem.names.begin(), problem.names.end(), [&](const std::string& name) {
    const auto found = options_.targets.find(name);
    return found != options_.targets.end() && !found->second.pattern.none();
  });
}

layerwise::Needs MaskSolver::needs(const architecture::StageRef& at) const {
  for (const auto& [name, target] : options_.targets) {
    if (target.at == at && !target.pattern.none())
      return layerwise::Needs::kHessian;  // for cuts alone, too: their errors are measured with it
  }
  return layerwise::Needs::kNothing;
}

void MaskSolver::choose(const StageProblem& problem, WeightScore score,
                        const layerwise::Factor* factor, Solved& solved) const {
  for_each_matrix(problem, [&](size_t i, int64_t begin, int64_t rows) {
    const layerwise::Pattern& pattern = target(problem.names[i]).pattern;
    const at::Tensor scores =
        layerwise::pattern_scores(solved.target.narrow(0, begin, rows), pattern, score,
                                  problem.statistics.mean_square, factor);
    solved.mask.narrow(0, begin, rows)
        .copy_(layerwise::choose_mask(scores, pattern, options_.scope));
  });
  solved.weights = solved.target * solved.mask;
}

void MaskSolver::sweep(const StageProblem& problem, const layerwise::Factor& factor,
                       Solved& solved) const {
  solved.weights = at::empty_like(solved.target);
  for_each_matrix(problem, [&](size_t i, int64_t begin, int64_t rows) {
    const layerwise::SparseGptResult part = layerwise::sparsegpt(
        solved.target.narrow(0, begin, rows), factor, target(problem.names[i]).pattern,
        {.scope = options_.scope, .mask_block = options_.mask_block});
    solved.mask.narrow(0, begin, rows).copy_(part.mask);
    solved.weights.narrow(0, begin, rows).copy_(part.weights);
  });
}

// Matrices that stay dense stay as they are.
void MaskSolver::keep_dense(const StageProblem& problem, Solved& solved) const {
  for_each_matrix(problem, [&](size_t i, int64_t begin, int64_t rows) {
    if (!target(problem.names[i]).pattern.none()) return;
    solved.target.narrow(0, begin, rows).copy_(problem.weights.narrow(0, begin, rows));
  });
}

// Rows that share their support have one system for all (width.h); the others go row by row.
absl::Status MaskSolver::refit(const StageProblem& problem, const layerwise::Factor& factor,
                               Solved& solved) const {
  const at::Tensor single = solved.mask.clone();  // whole where the columns are those of a matrix
  std::vector<std::pair<int64_t, int64_t>> shared;
  for_each_matrix(problem, [&](size_t i, int64_t begin, int64_t rows) {
    if (target(problem.names[i]).pattern.of != layerwise::PatternOf::kColumns) return;
    single.narrow(0, begin, rows).fill_(1);
    shared.emplace_back(begin, rows);
  });
  layerwise::RefitResult refitted =
      layerwise::refit(solved.target, single, factor, options_.refitting);
  solved.weights = std::move(refitted.weights);
  solved.steps = refitted.steps;
  solved.rows_unfinished = refitted.rows_unfinished;
  for (const auto& [begin, rows] : shared) {
    const at::Tensor set = solved.mask[begin].nonzero().flatten().contiguous();
    const std::vector<int64_t> kept(set.const_data_ptr<int64_t>(),
                                    set.const_data_ptr<int64_t>() + set.numel());
    FRUGAL_ASSIGN_OR_RETURN(
        const at::Tensor narrowed,
        layerwise::compensate(solved.target.narrow(0, begin, rows), factor, kept));
    solved.weights.narrow(0, begin, rows).zero_().index_copy_(1, set, narrowed);
  }
  return absl::OkStatus();
}

absl::StatusOr<MaskSolver::Solved> MaskSolver::solve_stack(const StageProblem& problem) const {
  Solved solved;
  solved.target = problem.weights;
  solved.mask = at::ones(problem.weights.sizes(), at::kByte);
  if (!options_.needs_factor()) {
    choose(problem, options_.score, nullptr, solved);
    return solved;
  }
  layerwise::FactorOptions damping = options_.factor;
  if (damping.damping == 0)
    damping.damping = layerwise::damping_for(problem.weights.size(1), problem.statistics.worth());
  const auto factor = layerwise::factorize(problem.statistics.hessian,
                                           at::arange(problem.weights.size(1), at::kLong), damping);
  if (!factor.ok()) {  // recorded, and said in the pass's warnings
    solved.fell_back = true;
    choose(problem, WeightScore::kWanda, nullptr, solved);
    return solved;
  }
  solved.damping = factor->damping;
  solved.recoveries = factor->recoveries;
  solved.dead_columns = static_cast<int64_t>(factor->dead.size());
  if (options_.moves_weights() && options_.drift_strength.active()) {
    solved.target =
        layerwise::pre_correct(problem.weights, problem.drift, *factor, options_.drift_strength)
            .contiguous();
    keep_dense(problem, solved);
  }
  if (options_.choice == MaskChoice::kSparseGpt) {
    sweep(problem, *factor, solved);
  } else {
    choose(problem, options_.score, &*factor, solved);
  }
  if (options_.refit) FRUGAL_RETURN_IF_ERROR(refit(problem, *factor, solved));
  return solved;
}

absl::StatusOr<at::Tensor> MaskSolver::solve(const StageProblem& problem) {
  if (!sparse(problem)) return at::Tensor();
  const auto start = std::chrono::steady_clock::now();
  FRUGAL_ASSIGN_OR_RETURN(Solved solved, solve_stack(problem));
  for_each_matrix(problem, [&](size_t i, int64_t begin, int64_t rows) {
    const at::Tensor part = solved.weights.narrow(0, begin, rows);
    part.copy_(part.to(target(problem.names[i]).stored_type));
  });
  const std::chrono::duration<double> span = std::chrono::steady_clock::now() - start;
  FRUGAL_RETURN_IF_ERROR(record(problem, solved, span.count()));
  return solved.weights;
}

absl::Status MaskSolver::record(const StageProblem& problem, const Solved& solved, double seconds) {
  at::Tensor before, after, outputs;
  if (options_.calibrated) {
    const at::Tensor hessian = problem.statistics.hessian.to(at::kFloat);
    const auto row_errors = [&](const at::Tensor& difference) {
      return tensor::row_products(difference, hessian, difference);
    };
    before = row_errors(solved.target * (1 - solved.mask.to(at::kFloat)));
    after = row_errors(solved.weights - solved.target);
    outputs = row_errors(problem.weights);
  }
  absl::Status status;
  for_each_matrix(problem, [&](size_t i, int64_t begin, int64_t rows) {
    const layerwise::Pattern& pattern = target(problem.names[i]).pattern;
    if (pattern.none() || !status.ok()) return;
    const auto part = [&](const at::Tensor& errors) {
      return errors.narrow(0, begin, rows).sum().item<double>();
    };
    const auto share = [&](const at::Tensor& errors) {
      return errors.defined() ? std::optional(relative_error(part(errors), part(outputs)))
                              : std::nullopt;
    };
    const std::optional<double> error = share(after);
    status = check_solved(
        options_.gate,
        {.name = problem.names[i],
         .how = base::str_cat("with pattern ", layerwise::to_text(pattern)),
         .error = error,
         .tokens = options_.calibrated ? std::optional(problem.statistics.tokens) : std::nullopt,
         .remedy = "take away less, raise `damping` or calibrate on more text"});
    const at::Tensor weights = solved.weights.narrow(0, begin, rows);
    layerwise::MatrixRecord row;
    row.set_stage(problem.at);
    row.matrix = problem.names[i];
    row.pattern = layerwise::to_text(pattern);
    row.error_before = share(before);
    row.error_after = error;
    if (after.defined()) row.squared_error = part(after);
    if (solved.damping > 0) row.damping = solved.damping;
    row.recoveries = solved.recoveries;
    row.dead_columns = solved.dead_columns;
    row.fell_back = solved.fell_back;
    row.steps = solved.steps;
    row.rows_unfinished = solved.rows_unfinished;  // of the whole stack
    row.weights = weights.numel();
    row.zeros = (weights == 0).sum().item<int64_t>();
    row.set_statistics(problem.statistics);
    row.seconds =
        seconds * static_cast<double>(rows) / static_cast<double>(problem.weights.size(0));
    keep(std::move(row));
    keep(problem.names[i], weights);
  });
  return status;
}

absl::StatusOr<at::Tensor> MaskSolver::restore(const StageProblem& problem) {
  if (!sparse(problem)) return at::Tensor();
  at::Tensor weights = problem.weights.clone();
  int64_t begin = 0;
  for (size_t i = 0; i < problem.names.size(); ++i) {
    const int64_t rows = problem.row_counts[i], columns = weights.size(1);
    if (!target(problem.names[i]).pattern.none()) {
      FRUGAL_ASSIGN_OR_RETURN(const at::Tensor part,
                              stored().tensor(problem.names[i], {rows, columns}));
      weights.narrow(0, begin, rows).copy_(part);
    }
    begin += rows;
  }
  return weights;
}

}  // namespace frugal::passes
