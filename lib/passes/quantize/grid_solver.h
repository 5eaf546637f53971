// Puts the matrices of every stage on a grid while the walk goes by; keeps what it did in a layer
// store.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "grid/grid.h"
#include "layerwise/gptq.h"
#include "layerwise/layer_store.h"
#include "layerwise/order.h"
#include "layerwise/pre_correct.h"
#include "layerwise/walk.h"

namespace frugal::passes {

enum class RoundingMethod { kRoundToNearest, kGptq };

struct GridSolverOptions {
  std::string grid;
  std::string head_grid;  // empty: the head is kept
  int64_t layer_count = 0;
  RoundingMethod method = RoundingMethod::kGptq;
  bool calibrated = false;  // activations are there: errors are measured in the metric of H
  bool importance = true;   // scales are searched weighted by E[x²]
  layerwise::Asymmetry asymmetry;
  layerwise::FactorOptions factor;
  layerwise::ColumnOrder order = layerwise::ColumnOrder::kGroupAware;
  layerwise::GptqOptions gptq;
  at::Device device = at::kCPU;  // of factorizations and sweeps
};

class GridSolver final : public layerwise::StageSolver {
 public:
  // `store` outlives the solver.
  GridSolver(GridSolverOptions options, const layerwise::LayerStore& store)
      : options_(std::move(options)), store_(store) {}

  layerwise::Needs needs(int64_t layer, size_t stage) const override;
  bool wants_drift() const override;
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem& problem) override;
  absl::Status finish_layer(int64_t layer) override;
  absl::StatusOr<bool> is_finished(int64_t layer) override;
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem& problem) override;

  // The stored matrix `name` of `layer`, [rows, columns] on its grid.
  static absl::StatusOr<grid::QuantizedMatrix> stored_matrix(
      const layerwise::LayerStore::Layer& layer, std::string_view name, std::string_view grid,
      int64_t rows, int64_t columns);

 private:
  struct Rounded {
    grid::QuantizedMatrix matrix;
    at::Tensor target;    // what the solver aimed at: W, or W* of the asymmetric target
    at::Tensor baseline;  // rounded to nearest with the same importance; undefined where that is
                          // the method
    double damping = 0;
    int64_t recoveries = 0;
    bool fell_back = false;
    std::string sweep_kernel;    // empty: no sweep
    std::string sweep_fallback;  // why it did not run on the device; else empty
  };
  absl::StatusOr<Rounded> round(const layerwise::StageProblem& problem,
                                const std::shared_ptr<const grid::Grid>& grid) const;
  absl::Status record(const layerwise::StageProblem& problem, const Rounded& rounded,
                      const at::Tensor& decoded, double seconds);
  const std::string& grid_name(int64_t layer) const;

  GridSolverOptions options_;
  const layerwise::LayerStore& store_;
  std::vector<std::pair<std::string, grid::QuantizedMatrix>> finished_;  // of the layer in work
  std::optional<layerwise::LayerStore::Layer> restored_;
  base::Json records_ = base::Json::array();
};

}  // namespace frugal::passes
