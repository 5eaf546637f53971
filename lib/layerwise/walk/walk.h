// The walk over a decoder's layers, stage by stage, shared by everything that changes weights
// layer-wise.
//
// Two streams of activations: X runs through the layers as changed so far, X̃ (only where a solver
// asks for the drift) through the original ones. For each stage the walk gathers the statistics of
// X, hands the stacked original weights to the solver and goes on with the weights it returns
// (inputs always come from the changed prefix, at one forward in all). Weights
// are read layer by layer from the mapped checkpoint; activations stay in memory, in chunks of
// whole windows, and beyond a limit in a file (activation_store.h), with the same results. On a GPU
// the next stage's weights and the next chunk's activations are copied while it computes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/stages.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/walk/statistics.h"
#include "model/decoder.h"
#include "model/products.h"
#include "text/dataset.h"

namespace frugal::layerwise {

struct StageProblem {
  architecture::StageRef at;       // (layer_count, 0) for the head
  std::string where;               // "layer 3, mlp_in"
  std::vector<std::string> names;  // full weight names, in stacking order
  std::vector<architecture::Role> roles;
  std::vector<int64_t> row_counts;  // rows of each
  bool writes_residual = false;
  at::Tensor weights;          // original weights, stacked [R, in] fp32 contiguous on the CPU
  InputStatistics statistics;  // as far as needs() asked; tokens 0 without calibration
  Drift drift;                 // in the form that drift_form() asked for
  // The same over WalkOptions::held_out windows, which the above have not seen: for choices.
  InputStatistics held_out_statistics;
  Drift held_out_drift;
};

// The part of a stage that these of its matrices make: their rows, the same statistics.
StageProblem select_matrices(const StageProblem& problem, const std::vector<size_t>& members);

// A layer whose stages are all solved, for solvers that go over its matrices together once more.
// Everything is on `device`, inputs and targets beyond the limit of a GPU's memory on the host.
struct LayerProblem {
  int64_t layer = 0;
  std::string where;  // "layer 3"
  at::Device device = at::kCPU;
  const std::vector<architecture::Stage>& stages;
  const model::LayerRunner& runner;
  const model::LayerParameters& small;  // norms and biases
  const model::AttentionContexts& contexts;
  std::vector<at::Tensor> inputs;   // of the changed prefix, in chunks [windows, T, C]
  std::vector<at::Tensor> targets;  // the original model's output of this layer, likewise
  // The windows of so many chunks, the first ones, were part of the statistics; those of the others
  // were held out of them (WalkOptions::held_out), for choices.
  size_t seen_chunks = 0;
};

// How a solver looks at the drift against the original model. Any but kNone costs a second stream
// of activations.
enum class DriftForm {
  kNone,
  kOutputs,  // Drift::output, which is cheaper where a matrix has far more columns than rows
  kInputs,   // Drift::input
};

class StageSolver {
 public:
  virtual ~StageSolver() = default;
  // What solve() will look at for this stage. The head is asked for as (layer_count, 0) and left
  // out at kNothing.
  virtual Needs needs(const architecture::StageRef& at) const = 0;
  virtual DriftForm drift_form() const = 0;
  // The new stacked weights [R, in] fp32 with which the walk goes on; undefined = unchanged.
  virtual absl::StatusOr<at::Tensor> solve(const StageProblem& problem) = 0;
  // Whether reconstruct_layer() is wanted (costs a second stream of activations and a run of each
  // layer).
  virtual bool reconstructs_layers() const { return false; }
  // With calibration only, after the stages of a layer: the final weights of each stage, stacked
  // [R, in] fp32 as solve() gives them; undefined = as solved.
  virtual absl::StatusOr<std::vector<at::Tensor>> reconstruct_layer(const LayerProblem& problem) {
    return std::vector<at::Tensor>(problem.stages.size());
  }
  // All stages of a layer are solved: store what was answered, where that is worth it.
  virtual absl::Status store_layer(int64_t layer) = 0;
  // Whether an earlier, interrupted walk stored this layer; its stages are then restored, not
  // solved.
  virtual absl::StatusOr<bool> has_stored(int64_t layer) = 0;
  // What solve() answered for this stage then (`problem` without statistics).
  virtual absl::StatusOr<at::Tensor> restore(const StageProblem& problem) = 0;
};

// The experts of a layer as a walk went through them, for observers. Everything is on the walk's
// device.
struct LayerExperts {
  int64_t layer = 0;
  const model::LayerRunner& runner;
  const model::LayerParameters& small;  // the router among them
  const model::AttentionContexts& contexts;
  size_t chunks = 0;
  // Of a chunk: who got which tokens, and what the experts made of them.
  std::function<model::Routing(size_t chunk)> routing;
};

struct WalkOptions {
  at::Device device = at::kCPU;
  int64_t chunk_tokens =
      2048;              // tokens of a chunk, at least one window; part of the result's last bits
  int64_t held_out = 0;  // so many of the windows, the last ones, are kept out of the statistics
  // Stages of experts that fewer tokens reach are an error. At 0 their problems may have no
  // statistics (tokens 0) although there are windows, unless those are blended.
  int64_t min_expert_tokens = 1;
  // The prior of blended statistics of rare experts, in tokens per column (expert_blend.h); 0: each
  // expert has its own tokens alone.
  double expert_blend = 0;
  // How the changed model rounds the inputs of its layers' matrices: statistics and drift are then
  // those of the rounded inputs, which the matrices will meet.
  format::Activations activations = format::Activations::kFloat;
  // Of forwards, second moments and drifts.
  model::Precision precision = model::Precision::kFloat32;
  // Bytes of activations that stay in the device's memory, 0 = all; the others go to a file in
  // `spill_folder`, those of a GPU to the host's memory.
  int64_t spill_bytes = 0;
  std::filesystem::path spill_folder = {};
  // Channels of the residual stream that are zero in the changed model's embedding.
  std::vector<int64_t> removed_channels = {};
  std::string title = "walk";  // of the progress line
  // Called when a layer is through, with the residual stream before and behind it as changed so
  // far: chunks [windows, T, C].
  std::function<void(int64_t layer, const std::vector<at::Tensor>& before,
                     const std::vector<at::Tensor>& after)>
      observe = nullptr;
  // Called for a layer that has experts, when they are through.
  std::function<absl::Status(const LayerExperts& experts)> observe_experts = nullptr;
};

// Walks all layers, then the head (where it is a matrix of its own). `windows.count` = 0: no
// activations, the solver sees weights only. Errors: those of the solver, of loading, a NaN
// activation (with layer and stage), interruption.
absl::Status walk(const format::Checkpoint& checkpoint, const text::Windows& windows,
                  const WalkOptions& options, StageSolver& solver);

}  // namespace frugal::layerwise
