// Removes neurons and heads while the walk goes by.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "architecture/roles.h"
#include "architecture/tensors.h"
#include "base/status.h"
#include "layerwise/pruning/width.h"
#include "layerwise/rounding/pre_correct.h"
#include "layerwise/walk/durable_solver.h"
#include "passes/common/layer_gate.h"

namespace frugal::passes {

// One kind of structure: rows of the matrices that make it, columns of the one that reads it.
struct Cut {
  std::string what;                      // "neurons", "heads", "key_value_heads"
  size_t in_stage = 0;                   // gate and up; q, k, v
  size_t out_stage = 0;                  // down; o
  std::vector<architecture::Role> rows;  // matrices of in_stage whose rows go along
  architecture::Role reader = architecture::Role::kDown;  // the matrix of out_stage
  int64_t count = 0;                                      // structures before
  int64_t keep = 0;                                       // and after, in every layer
  int64_t unit = 1;                          // columns of the reader that make one structure
  int64_t groups = 1;                        // runs of structures that keep the same number each
  int64_t expert = architecture::kNoExpert;  // whose matrices these are
  int64_t kept_columns() const { return keep * unit; }
  bool goes_along(architecture::Role role) const {
    return std::find(rows.begin(), rows.end(), role) != rows.end();
  }
};

struct CutOptions {
  std::vector<Cut> cuts;  // each with an out_stage of its own
  layerwise::StructureScore score = layerwise::StructureScore::kObs;
  bool compensate = true;
  layerwise::DriftStrength drift_strength;
  layerwise::FactorOptions factor;
  LayerGate gate;
  at::ScalarType stored_type =
      at::kFloat;  // of the output's weights: the walk goes on with what will be stored

  bool needs_hessian() const {
    return compensate || score == layerwise::StructureScore::kObs ||
           score == layerwise::StructureScore::kObsGreedy;
  }
  bool measures() const {
    return needs_hessian() || score == layerwise::StructureScore::kActivation;
  }
  const Cut* read_by(size_t stage) const;
};

class CutSolver final : public layerwise::DurableSolver {
 public:
  // `store` outlives the solver.
  CutSolver(CutOptions options, const layerwise::LayerStore& store)
      : DurableSolver(store), options_(std::move(options)) {}

  layerwise::Needs needs(const architecture::StageRef& at) const override;
  layerwise::DriftForm drift_form() const override {
    return options_.needs_hessian() && options_.drift_strength.active()
               ? layerwise::DriftForm::kOutputs
               : layerwise::DriftForm::kNone;
  }
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem& problem) override;

  // The kept structures of a stored layer, and its narrowed reader, fp32 [rows, kept_columns].
  static absl::StatusOr<std::vector<int64_t>> stored_structures(
      const layerwise::LayerStore::Layer& layer, const Cut& cut);
  static absl::StatusOr<at::Tensor> stored_weights(const layerwise::LayerStore::Layer& layer,
                                                   const Cut& cut, int64_t rows);

 private:
  void remember_magnitude(const layerwise::StageProblem& problem, const Cut& cut);
  absl::StatusOr<at::Tensor> narrow(const layerwise::StageProblem& problem, const Cut& cut);
  layerwise::MatrixRecord record(const layerwise::StageProblem& problem, const Cut& cut,
                                 const layerwise::Factor& factor) const;

  CutOptions options_;
  std::map<size_t, at::Tensor> magnitude_;  // by in_stage: [count] of the layer in work, without
                                            // the reader
};

}  // namespace frugal::passes
