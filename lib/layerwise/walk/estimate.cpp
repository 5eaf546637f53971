#include "layerwise/walk/estimate.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "architecture/stages.h"
#include "base/process.h"
#include "kernels/bf16_product.h"
#include "layerwise/rounding/block_rounding.h"
#include "layerwise/walk/output_gradients.h"
#include "layerwise/walk/token_share.h"

namespace frugal::layerwise {
namespace {

bool packs_factors(model::Precision precision) {
  return precision == model::Precision::kRounded && kernels::fast_bf16_kernel() != nullptr;
}

// One of each kind of layer.
std::vector<int64_t> different_layers(const architecture::ModelConfig& config) {
  std::vector<int64_t> result;
  for (int64_t i = 0; i < config.layer_count(); ++i) {
    const auto same = [&](int64_t other) {
      return config.layers[static_cast<size_t>(other)] == config.layers[static_cast<size_t>(i)];
    };
    if (std::none_of(result.begin(), result.end(), same)) result.push_back(i);
  }
  return result;
}

// One stage with what lies around it. Floats per token count the rows of all tokens, of experts as
// if the router sent each the same number.
struct StageView {
  StageShape shape;
  int64_t input = 0;       // floats per token of its input
  int64_t next_input = 0;  // of the stage behind; 0 behind the last
  int64_t mixed = 0;  // of attention's rotated and expanded tensors, of experts' outputs once mixed
  int64_t held = 0;   // of what experts share and have made, beside the residual stream
  int64_t routing_bytes = 0;  // per token: who goes where
  int64_t layer_weights = 0;
  TokenShare share;
  bool expert = false, expert_out = false;
};

class MemoryModel {
 public:
  MemoryModel(const architecture::ModelConfig& config, const WalkDemand& demand,
              const SolverBytes& solver)
      : config_(config),
        demand_(demand),
        solver_(solver),
        streams_(demand.drift != DriftForm::kNone || demand.reconstruction ? 2 : 1),
        packs_(packs_factors(demand.precision)) {
    const int64_t windows = std::max<int64_t>(1, demand.chunk_tokens / demand.window_tokens);
    chunk_ = std::min(demand.tokens, windows * demand.window_tokens);
    const int64_t chunks = chunk_ > 0 ? (demand.tokens + chunk_ - 1) / chunk_ : 0;
    workers_ = std::min(demand.threads, chunks);
  }

  WalkMemory embedding() const {
    return {.activations = in_memory(4 * config_.hidden_size),
            .weights = demand_.tokens > 0 ? 4 * config_.vocabulary_size * config_.hidden_size : 0};
  }

  // While the stage is solved: the activations rest.
  WalkMemory solving(const StageView& stage) const {
    const int64_t weights = stage.shape.rows * stage.shape.columns;
    return {.activations = activations(stage, stage.input),
            .weights = 4 * weights + prepared(weights) + stage.layer_weights + first_stage(stage),
            .statistics = statistics(stage.shape) + blending(stage),
            .solver = solver_(stage.shape)};
  }

  // While the streams go through it: chunk by chunk the outputs take the place of the inputs.
  WalkMemory advancing(const StageView& stage) const {
    const int64_t weights = stage.shape.rows * stage.shape.columns;
    const int64_t floats = stage.share.times(stage.shape.rows) + stage.next_input + stage.mixed;
    return {
        .activations = activations(stage, std::max(stage.input, stage.next_input)),
        .temporaries = workers_ * chunk_ * (4 * floats + (packs_ ? 2 : 0) * stage.input),
        .weights = 8 * weights + 2 * prepared(weights) + stage.layer_weights + first_stage(stage)};
  }

  // While the rounding of a whole layer is learned: of every weight its target, place, offset,
  // value, codes three times, and gradients, of every window in work what its graph keeps.
  WalkMemory reconstructing(const std::vector<StageView>& stages) const {
    int64_t weights = 0, floats = 0;
    for (const StageView& stage : stages) {
      weights += stage.shape.rows * stage.shape.columns;
      floats += stage.share.times(stage.shape.rows) + stage.input + stage.mixed;
    }
    const int64_t workers = std::min(demand_.threads, BlockRoundingOptions{}.batch_windows);
    return {.activations = activations({}, 0),
            .temporaries = workers * demand_.window_tokens * 8 * floats,
            .weights = weights * (4 * 4 + 3),
            .solver = weights * 4 * (workers + 1)};
  }

 private:
  // Both streams: they share their tensors until they differ, which ends with the first stage.
  int64_t activations(const StageView& stage, int64_t input) const {
    const int64_t per_token =
        streams_ * (4 * (config_.hidden_size + stage.held + input) + stage.routing_bytes) +
        (demand_.reconstruction ? 4 * config_.hidden_size : 0);
    return in_memory(per_token);
  }
  bool blends(const StageView& stage) const {
    return stage.expert && demand_.expert_blend > 0 && demand_.tokens > 0;
  }
  // What all tokens run through for the statistics of a rare expert's second stage: its first.
  int64_t first_stage(const StageView& stage) const {
    const int64_t weights = 2 * stage.shape.rows * stage.shape.columns;
    return blends(stage) && stage.expert_out ? (packs_ ? 2 : 4) * weights : 0;
  }
  // H of all tokens: of what the experts of a layer read, and of a rare one's neurons.
  int64_t blending(const StageView& stage) const {
    if (!blends(stage) || demand_.needs != Needs::kHessian) return 0;
    const int64_t inputs = 8 * config_.hidden_size * config_.hidden_size;
    const int64_t neurons = 8 * stage.shape.columns * stage.shape.columns;
    return inputs + (stage.expert_out ? 2 * neurons : inputs);
  }
  // Of so many bytes per token; a chunk in work is in memory, too.
  int64_t in_memory(int64_t per_token) const {
    const int64_t all = demand_.tokens * per_token;
    if (demand_.spill_bytes == 0) return all;
    return std::min(all, demand_.spill_bytes + workers_ * chunk_ * per_token);
  }
  // Of `weights` made ready for products (StageProduct).
  int64_t prepared(int64_t weights) const { return packs_ && demand_.tokens > 0 ? 2 * weights : 0; }

  int64_t statistics(const StageShape& stage) const {
    if (demand_.tokens == 0 || demand_.needs != Needs::kHessian) return 0;
    const int64_t hessian = 8 * stage.columns * stage.columns;
    const int64_t outputs = 8 * stage.rows * stage.columns;
    const int64_t residual = stage.writes_residual ? outputs : 0;
    const int64_t drift = demand_.drift == DriftForm::kNone     ? 0
                          : demand_.drift == DriftForm::kInputs ? hessian + residual
                                                                : outputs + residual;
    return (hessian + drift) * (demand_.held_out_tokens > 0 ? 2 : 1);
  }

  const architecture::ModelConfig& config_;
  const WalkDemand& demand_;
  const SolverBytes& solver_;
  int64_t streams_;
  bool packs_;
  int64_t chunk_ = 0, workers_ = 0;
};

// What lies in the layer's states once its tokens are sent to experts: what those read, what they
// have made so far, and who goes where (model::Routing: probabilities and weights, two lists of
// numbers).
void hold_experts(const architecture::ModelConfig& config, const architecture::Experts& experts,
                  std::vector<StageView>& views) {
  const TokenShare share{experts.per_token, experts.count};
  for (size_t i = architecture::kAttentionStages; i < views.size(); ++i) {
    StageView& view = views[i];
    const auto through = static_cast<int64_t>(i - architecture::kAttentionStages) / 2;
    view.share = share;
    view.expert = true;
    view.expert_out = (i - architecture::kAttentionStages) % 2 == 1;
    view.held = config.hidden_size + share.times(through * config.hidden_size);
    view.routing_bytes = 4 * experts.count + 20 * experts.per_token;
  }
  // All outputs in one, by token, and weighted.
  views.back().mixed = 3 * experts.per_token * config.hidden_size;
}

std::vector<StageView> stage_views(const architecture::ModelConfig& config, int64_t layer,
                                   bool packs) {
  const architecture::Layer& of = config.layers[static_cast<size_t>(layer)];
  std::vector<StageView> views;
  int64_t layer_weights = 0;
  for (const architecture::Stage& stage : architecture::stages(config, layer)) {
    StageView& view = views.emplace_back();
    view.shape.writes_residual = stage.writes_residual;
    for (const architecture::Tensor& matrix : stage.matrices) {
      view.shape.rows += matrix.shape[0];
      view.shape.columns = matrix.shape[1];
    }
    view.layer_weights = layer_weights;  // a solver's results so far: a byte each
    layer_weights += view.shape.rows * view.shape.columns;
  }
  if (of.experts) hold_experts(config, *of.experts, views);
  for (StageView& view : views) view.input = view.share.times(view.shape.columns);
  for (size_t i = 0; i + 1 < views.size(); ++i) views[i].next_input = views[i + 1].input;
  // Rotated queries and keys and the mix; LibTorch's attention has keys and values for every head
  // and the mix in two orders.
  const int64_t heads = of.attention.heads, shared = of.attention.key_value_heads;
  views.front().mixed = of.attention.head_size * (heads + shared + (packs ? 1 : 3) * heads);
  return views;
}

// Rows of every matrix of a layer.
std::vector<int64_t> matrix_rows(const architecture::ModelConfig& config, int64_t layer) {
  std::vector<int64_t> rows;
  for (const architecture::Stage& stage : architecture::stages(config, layer)) {
    for (const architecture::Tensor& matrix : stage.matrices) rows.push_back(matrix.shape[0]);
  }
  return rows;
}

int64_t largest_of(const std::vector<int64_t>& values) {
  return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

}  // namespace

absl::StatusOr<WalkMemory> walk_memory(const architecture::ModelConfig& config,
                                       const WalkDemand& demand, const SolverBytes& solver) {
  const MemoryModel model(config, demand, solver);
  WalkMemory peak = model.embedding();
  const auto consider = [&](const WalkMemory& memory) {
    if (memory.total() > peak.total()) peak = memory;
  };
  for (const int64_t layer : different_layers(config)) {
    const std::vector<StageView> stages =
        stage_views(config, layer, packs_factors(demand.precision));
    for (const StageView& stage : stages) {
      consider(model.solving(stage));
      if (demand.tokens > 0) consider(model.advancing(stage));
    }
    if (demand.reconstruction) consider(model.reconstructing(stages));
  }
  if (demand.head) {
    const StageShape head{config.vocabulary_size, config.hidden_size, false};
    consider(model.solving({.shape = head, .input = head.columns}));
  }
  return peak;
}

namespace {

// Of one layer in work: both ways of its matrices; the gradients of a round, once more those of one
// matrix; of a window in work the outputs, inputs and what attention keeps, with their gradients.
int64_t gradient_layer_memory(const architecture::ModelConfig& config, int64_t index,
                              const GradientDemand& demand, int64_t workers) {
  const bool packs = packs_factors(demand.precision);
  const std::vector<StageView> stages = stage_views(config, index, packs);
  const std::vector<int64_t> heights = matrix_rows(config, index);
  int64_t weights = 0, largest = 0, columns = 0, rows = 0, products = 0, mixed = 0;
  for (const StageView& stage : stages) {
    const int64_t count = stage.shape.rows * stage.shape.columns;
    weights += count;
    largest = std::max(largest, count);
    columns += stage.input;
    rows += stage.share.times(stage.shape.rows);
    mixed += stage.mixed;
  }
  for (const int64_t height : heights)
    products += height <= demand.largest_rows ? height * height : 0;
  const int64_t round =
      std::min(demand.tokens, gradient_round(demand.window_tokens) * demand.window_tokens);
  return (packs ? 4 : 8) * weights + (packs ? 8 : 0) * largest + 8 * products +
         4 * round * (rows + largest_of(heights)) +
         workers * demand.window_tokens * 8 * (rows + columns + mixed);
}

}  // namespace

absl::StatusOr<int64_t> gradient_memory(const architecture::ModelConfig& config,
                                        const GradientDemand& demand) {
  const bool packs = packs_factors(demand.precision);
  const int64_t width = 4 * config.hidden_size;
  const int64_t stored = demand.tokens * width * (config.layer_count() + 2);
  const int64_t kept = demand.spill_bytes == 0 ? stored : std::min(stored, demand.spill_bytes);
  const int64_t workers =
      std::min(demand.threads, std::max<int64_t>(1, demand.tokens / demand.window_tokens));
  int64_t layer = 0;
  for (const int64_t index : different_layers(config))
    layer = std::max(layer, gradient_layer_memory(config, index, demand, workers));
  const int64_t table = config.vocabulary_size * config.hidden_size;
  const int64_t head =
      (packs ? 12 : 8) * table +
      workers * 20 * config.vocabulary_size * std::min(demand.logit_tokens, demand.window_tokens);
  return kept + std::max(layer, head);
}

int64_t process_memory() {
  constexpr int64_t kFirstUse = 28'000'000;  // measured: 24 to 32 MB with LibTorch 2.11
  return base::resident_bytes().value_or(0) + kFirstUse;
}

}  // namespace frugal::layerwise
