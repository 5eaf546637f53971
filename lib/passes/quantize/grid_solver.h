// Puts the matrices of every stage on a grid while the walk goes by.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "architecture/stages.h"
#include "base/status.h"
#include "grid/grid.h"
#include "layerwise/pruning/pattern.h"
#include "layerwise/rounding/block_rounding.h"
#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/order.h"
#include "layerwise/rounding/pre_correct.h"
#include "layerwise/walk/durable_solver.h"
#include "passes/common/layer_gate.h"
#include "passes/quantize/output_fisher_store.h"

namespace frugal::passes {

enum class RoundingMethod { kRoundToNearest, kGptq };

struct GridSolverOptions {
  std::map<std::string, std::string, std::less<>> grids;  // by weight name; absent = kept
  std::vector<std::vector<architecture::Stage>> stages;   // by layer
  std::string head;                                       // name of the head's weight
  RoundingMethod method = RoundingMethod::kGptq;
  bool calibrated = false;  // activations are there: errors are measured in the metric of H
  bool importance = true;   // scales are searched weighted by E[x²]
  grid::ScaleSearch scale_search = grid::ScaleSearch::kFull;  // of kRoundToNearest
  layerwise::DriftStrength drift_strength;
  bool gptaq = false;  // at drift_strength.alpha in the sweep, not in its target alone
  const OutputFisherStore* output_fisher =
      nullptr;  // outlives the solver; null: rows by themselves
  bool choose_drift_strength =
      false;  // on the walk's held-out windows, stage by stage; else as given
  layerwise::FactorOptions factor;
  layerwise::ColumnOrder order = layerwise::ColumnOrder::kGroupAware;
  layerwise::GptqOptions gptq;
  layerwise::Pattern pattern;  // of zeros among the decoder's weights, chosen and kept
  bool keep_zeros = false;     // weights of the decoder that come as exact zeros stay so
  std::optional<layerwise::BlockRoundingOptions> learned_rounding;  // of every layer, afterwards
  LayerGate gate;
  at::Device device = at::kCPU;  // of factorizations and sweeps

  int64_t layer_count() const { return static_cast<int64_t>(stages.size()); }
  const architecture::Stage& stage(const architecture::StageRef& at) const {
    return stages[static_cast<size_t>(at.layer)][at.stage];
  }
};

class GridSolver final : public layerwise::DurableSolver {
 public:
  // `store` outlives the solver.
  GridSolver(GridSolverOptions options, const layerwise::LayerStore& store)
      : DurableSolver(store), options_(std::move(options)) {}

  layerwise::Needs needs(const architecture::StageRef& at) const override;
  layerwise::DriftForm drift_form() const override;
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  bool reconstructs_layers() const override { return options_.learned_rounding.has_value(); }
  absl::StatusOr<std::vector<at::Tensor>> reconstruct_layer(
      const layerwise::LayerProblem& problem) override;
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem& problem) override;

  // The stored matrix `name` of `layer`, [rows, columns] on its grid.
  static absl::StatusOr<grid::QuantizedMatrix> stored_matrix(
      const layerwise::LayerStore::Layer& layer, std::string_view name, std::string_view grid,
      int64_t rows, int64_t columns);

 private:
  struct Rounded {
    grid::QuantizedMatrix matrix;
    at::Tensor target;    // what the solver aimed at: W, or W* corrected for drift
    at::Tensor baseline;  // rounded to nearest with the same importance; undefined where that is
                          // the method
    at::Tensor mask;      // uint8, 0 = pinned to zero; undefined where nothing is
    layerwise::DriftStrength drift_strength;
    double damping = 0;
    double output_damping = 0;  // 0: rows by themselves
    int64_t recoveries = 0;
    std::optional<int64_t> dead_columns;  // of the factor; absent without one
    bool fell_back = false;
    std::string sweep_kernel;    // empty: no sweep
    std::string sweep_fallback;  // why it did not run on the device; else empty
  };
  // Rows of a stage that go to one grid: a problem of its own with the stage's statistics.
  struct Part {
    std::shared_ptr<const grid::Grid> grid;
    std::vector<size_t> members;  // of the stage's names
    layerwise::StageProblem problem;
  };
  absl::StatusOr<std::vector<Part>> split(const layerwise::StageProblem& problem) const;
  // What is known of every matrix of a stage: as it came, until its part is solved.
  struct SolvedStage {
    std::vector<at::Tensor> weights, targets;  // [rows, in]
    std::vector<grid::QuantizedMatrix> matrices;
  };
  // The part's decoded weights, stacked.
  absl::StatusOr<at::Tensor> solve_part(const Part& part, SolvedStage& stage);
  void keep_matrix(const std::string& name, const grid::QuantizedMatrix& matrix);
  absl::StatusOr<Rounded> round(const layerwise::StageProblem& problem,
                                const std::shared_ptr<const grid::Grid>& grid) const;
  // GPTQ of the target in whichever metric there is.
  absl::StatusOr<layerwise::GptqResult> solve_columns(const layerwise::StageProblem& problem,
                                                      const at::Tensor& goal,
                                                      const layerwise::Factor& factor,
                                                      const std::shared_ptr<const grid::Grid>& grid,
                                                      Rounded& rounded) const;
  at::Tensor target(const layerwise::StageProblem& problem, const layerwise::Factor& factor,
                    layerwise::DriftStrength& drift_strength) const;
  absl::StatusOr<Rounded> round_nearest(const layerwise::StageProblem& problem,
                                        const std::shared_ptr<const grid::Grid>& grid) const;
  bool is_sparse(const layerwise::StageProblem& problem) const;
  at::Tensor choose_zeros(const layerwise::StageProblem& problem, const at::Tensor& target,
                          const layerwise::Factor* factor) const;
  absl::Status record(const layerwise::StageProblem& problem, const Rounded& rounded,
                      const at::Tensor& decoded, double seconds);
  const std::string* grid_name(const std::string& weight) const;

  GridSolverOptions options_;
  layerwise::BlockLayer layer_;  // what learned rounding needs of each stage of the layer in work
};

}  // namespace frugal::passes
