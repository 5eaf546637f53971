// Zeros weights while the walk goes by: by magnitude, Wanda, OBS scores or SparseGPT, with or
// without the exact refit of what is left.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "layerwise/pruning/sparse.h"
#include "layerwise/rounding/pre_correct.h"
#include "layerwise/walk/durable_solver.h"
#include "passes/common/layer_gate.h"

namespace frugal::passes {

enum class MaskChoice { kScore, kSparseGpt };

struct MaskOptions {
  struct Target {
    architecture::StageRef at;
    layerwise::Pattern pattern;
    at::ScalarType stored_type = at::kFloat;  // the walk goes on with what will be stored
  };
  std::map<std::string, Target, std::less<>> targets;  // every decoder matrix, by weight name
  MaskChoice choice = MaskChoice::kScore;
  layerwise::WeightScore score = layerwise::WeightScore::kObs;  // kScore
  bool refit = true;
  bool calibrated = true;  // without: kMagnitude only, no refit
  layerwise::PatternScope scope = layerwise::PatternScope::kRow;
  int64_t mask_block = layerwise::kPatternBlock;
  layerwise::RefitOptions refitting;
  layerwise::DriftStrength drift_strength;  // where weights move: refit or SparseGPT
  layerwise::FactorOptions factor;
  LayerGate gate;

  bool moves_weights() const { return refit || choice == MaskChoice::kSparseGpt; }
  bool needs_factor() const { return moves_weights() || score == layerwise::WeightScore::kObs; }
};

class MaskSolver final : public layerwise::DurableSolver {
 public:
  // `store` outlives the solver.
  MaskSolver(MaskOptions options, const layerwise::LayerStore& store)
      : DurableSolver(store), options_(std::move(options)) {}

  layerwise::Needs needs(const architecture::StageRef& at) const override;
  layerwise::DriftForm drift_form() const override {
    return options_.calibrated && options_.moves_weights() && options_.drift_strength.active()
               ? layerwise::DriftForm::kOutputs
               : layerwise::DriftForm::kNone;
  }
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem& problem) override;

 private:
  struct Solved {
    at::Tensor target, mask, weights;  // stacked [R, in]
    double damping = 0;
    std::optional<int64_t> dead_columns;  // of the factor; absent without one
    int64_t recoveries = 0, steps = 0, rows_unfinished = 0;
    bool fell_back = false;  // H could not be factorized: Wanda's mask, no refit
  };
  const MaskOptions::Target& target(const std::string& name) const;
  bool sparse(const layerwise::StageProblem& problem) const;
  absl::StatusOr<Solved> solve_stack(const layerwise::StageProblem& problem) const;
  void choose(const layerwise::StageProblem& problem, layerwise::WeightScore score,
              const layerwise::Factor* factor, Solved& solved) const;
  void sweep(const layerwise::StageProblem& problem, const layerwise::Factor& factor,
             Solved& solved) const;
  absl::Status refit(const layerwise::StageProblem& problem, const layerwise::Factor& factor,
                     Solved& solved) const;
  void keep_dense(const layerwise::StageProblem& problem, Solved& solved) const;
  absl::Status record(const layerwise::StageProblem& problem, const Solved& solved, double seconds);

  MaskOptions options_;
};

}  // namespace frugal::passes
