// What a walk takes, before it runs: memory and operations.
#pragma once

#include <cstdint>
#include <functional>

#include "architecture/model_config.h"
#include "base/status.h"
#include "layerwise/walk/walk.h"

namespace frugal::layerwise {

// What is known of a walk beforehand. On the CPU: a GPU's memory is not forecast.
struct WalkDemand {
  int64_t tokens = 0;           // of all windows, held-out ones among them; 0 = no calibration
  int64_t held_out_tokens = 0;  // of those
  int64_t window_tokens = 1;
  Needs needs = Needs::kHessian;
  DriftForm drift = DriftForm::kNone;
  model::Precision precision = model::Precision::kFloat32;
  bool reconstruction = false;  // StageSolver::reconstructs_layers
  bool head = false;            // the solver wants the head, too
  double expert_blend = 0;      // as WalkOptions
  int64_t spill_bytes = 0;      // as WalkOptions
  int64_t chunk_tokens = WalkOptions{}.chunk_tokens;
  int64_t threads = 1;
};

// The stacked matrices of a stage.
struct StageShape {
  int64_t rows = 0, columns = 0;
  bool writes_residual = false;
};
// Bytes that a solver holds at most while it solves a stage, beside its StageProblem.
using SolverBytes = std::function<int64_t(const StageShape&)>;

// What is held at the moment of the peak. Experts are taken to get equal shares of the tokens.
struct WalkMemory {
  int64_t activations = 0;  // residual streams and stage inputs
  int64_t temporaries = 0;  // of the chunks in work, one per thread
  int64_t weights = 0;      // one stage's in fp32, changed or ready for products; the embedding
  int64_t statistics = 0;   // H and drifts in fp64, over held-out windows, too
  int64_t solver = 0;
  int64_t total() const { return activations + temporaries + weights + statistics + solver; }
};

// Errors: an unknown architecture.
absl::StatusOr<WalkMemory> walk_memory(const architecture::ModelConfig& config,
                                       const WalkDemand& demand, const SolverBytes& solver);

// Bytes of output_gradients() at their peak, on the CPU. Errors: an unknown architecture.
struct GradientDemand {
  int64_t tokens = 0;
  int64_t window_tokens = 1;
  model::Precision precision = model::Precision::kFloat32;
  int64_t largest_rows = 0;
  int64_t logit_tokens = 256;
  int64_t spill_bytes = 0;
  int64_t threads = 1;
};
absl::StatusOr<int64_t> gradient_memory(const architecture::ModelConfig& config,
                                        const GradientDemand& demand);

// Resident memory of this process, and what any work adds to it: code of LibTorch touched for the
// first time, its workspaces, the tokenizer. To be asked before the work begins.
int64_t process_memory();

// Floating-point operations of queries with keys and of weights with values, in one forward through
// all layers, in windows of `window_tokens`: what the estimates below, of products with matrices,
// leave out. Half of a window's square, as every token sees those before it.
double estimate_attention_operations(const architecture::ModelConfig& config, int64_t tokens,
                                     int64_t window_tokens);

// Floating-point operations of one forward through all layers: of a walk that only looks.
double estimate_forward_operations(const architecture::ModelConfig& config, int64_t tokens);

// Floating-point operations of a walk: forwards, second moments, factorizations. Experts get equal
// shares of the tokens, and blended statistics where those are few (`expert_blend` as WalkOptions).
double estimate_walk_operations(const architecture::ModelConfig& config, int64_t tokens, bool drift,
                                double expert_blend = 0);

// Of round_block() for every layer: forwards and backwards of its batches, its looks at the windows
// held out, and its steps. `tokens` of the walk, those held out among them, in windows of
// `window_tokens`.
double estimate_rounding_operations(const architecture::ModelConfig& config, int64_t iterations,
                                    int64_t tokens, int64_t held_out_tokens, int64_t window_tokens);

// Of output_gradients(): two forwards, one backward, and the products of gradients.
double estimate_gradient_operations(const architecture::ModelConfig& config, int64_t tokens,
                                    int64_t largest_rows);

}  // namespace frugal::layerwise
