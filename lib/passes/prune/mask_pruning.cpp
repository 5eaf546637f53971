// Tested by: tests/passes/prune_test.cpp
// Zeros among the weights of the decoder's matrices.
#include <algorithm>
#include <string>
#include <vector>

#include "layerwise/pruning/sparse.h"
#include "passes/prune/mask_solver.h"
#include "passes/prune/matrix_patterns.h"
#include "passes/prune/method.h"
#include "passes/prune/output.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

class MaskPruning final : public PruneMethod {
 public:
  using PruneMethod::PruneMethod;

  bool needs_text() const override { return options().refits() || options().solver != "magnitude"; }
  bool uses_text() const override { return true; }  // errors are reported on it
  bool corrects_drift() const override {
    return (options().refits() || options().solver == "sparsegpt") && has_drift_strength();
  }
  absl::Status check(pass::CheckContext& context, int64_t tokens,
                     pass::ModelInfo& model) const override;
  double extra_operations(const architecture::ModelConfig& config, int64_t tokens) const override;
  absl::Status run(const PruneRun& run) const override;

 private:
  absl::StatusOr<MaskOptions> solver_options(const format::Checkpoint& input) const;
};

absl::Status MaskPruning::check(pass::CheckContext& /*context*/, int64_t /*tokens*/,
                                pass::ModelInfo& model) const {
  FRUGAL_ASSIGN_OR_RETURN(const auto matrices, matrix_patterns(options(), model.config));
  if (std::all_of(matrices.begin(), matrices.end(),
                  [](const MatrixPattern& matrix) { return matrix.pattern.none(); })) {
    return base::invalid_argument(
        "prune: the patterns leave every matrix as it is; nothing would be removed");
  }
  for (const MatrixPattern& matrix : matrices) {
    if (matrix.pattern.none()) continue;
    FRUGAL_RETURN_IF_ERROR(base::annotate(
        layerwise::check_zeros(matrix.pattern, options().pattern_scope(), matrix.shape.front(),
                               matrix.shape.back(), matrix.name),
        "prune"));
  }
  for (const MatrixPattern& matrix : matrices) {
    if (options().solver != "sparsegpt" || matrix.pattern.of == layerwise::PatternOf::kWeights)
      continue;
    return base::invalid_argument("prune: ", matrix.name, " is to lose ",
                                  layerwise::to_text(matrix.pattern),
                                  ", but sparsegpt chooses weight by weight on its way through the "
                                  "columns; take solver mask_refit, wanda or magnitude");
  }
  if (options().solver == "sparsegpt" && options().scope == "matrix") {
    return base::invalid_argument(
        "prune: sparsegpt chooses its mask block by block and cannot count over a whole matrix; "
        "take scope row or block, or solver mask_refit");
  }
  for (const MatrixPattern& matrix : matrices) {
    if (!matrix.pattern.none()) model.zeros[matrix.name] = layerwise::to_text(matrix.pattern);
  }
  return absl::OkStatus();
}

// 2 R in² a step of conjugate gradients, of which most rows need about half the most.
double MaskPruning::extra_operations(const architecture::ModelConfig& config,
                                     int64_t /*tokens*/) const {
  if (!options().refits()) return 0;
  double operations = 0;
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    if (!tensor.is_stage_matrix()) continue;
    const auto rows = static_cast<double>(tensor.shape[0]);
    const auto columns = static_cast<double>(tensor.shape[1]);
    operations += static_cast<double>(options().refit_steps) * rows * columns * columns;
  }
  return operations;
}

absl::StatusOr<MaskOptions> MaskPruning::solver_options(const format::Checkpoint& input) const {
  using layerwise::WeightScore;
  MaskOptions result;
  FRUGAL_ASSIGN_OR_RETURN(const auto matrices, matrix_patterns(options(), input.config()));
  for (const MatrixPattern& matrix : matrices) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(matrix.name));
    result.targets[matrix.name] = {
        .at = matrix.at, .pattern = matrix.pattern, .stored_type = tensor::scalar_type(info.dtype)};
  }
  const std::string& score =
      options().solver == "mask_refit" ? options().mask_score : options().solver;
  if (options().solver == "sparsegpt") result.choice = MaskChoice::kSparseGpt;
  result.score = score == "wanda"       ? WeightScore::kWanda
                 : score == "magnitude" ? WeightScore::kMagnitude
                                        : WeightScore::kObs;
  result.refit = options().refits();
  result.calibrated = !options().calibration.name.empty();
  result.scope = options().pattern_scope();
  result.mask_block = options().mask_block;
  result.gate = options().gate;
  result.refitting.steps = options().refit_steps;
  result.drift_strength = {options().alpha, options().beta};
  result.factor.damping = options().damping;
  return result;
}

absl::Status MaskPruning::run(const PruneRun& run) const {
  FRUGAL_ASSIGN_OR_RETURN(MaskOptions solver_settings, solver_options(run.input()));
  MaskSolver solver(std::move(solver_settings), run.store);
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(run.input(), run.calibration, run.walk, solver));
  FRUGAL_RETURN_IF_ERROR(write_masked(run.input(), run.store, run.context.output_folder()));
  FRUGAL_RETURN_IF_ERROR(report_errors(run.context, run.store));
  FRUGAL_RETURN_IF_ERROR(report_zeros(run.context, run.store));
  return report_sizes(run.context);
}

}  // namespace

std::unique_ptr<PruneMethod> make_mask_pruning(const PruneOptions& options) {
  return std::make_unique<MaskPruning>(options);
}

}  // namespace frugal::passes
