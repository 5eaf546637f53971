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

namespace frugal::layerwise {
namespace {

bool packs_factors(model::Precision precision) {
  return precision == model::Precision::kRounded && kernels::fast_bf16_kernel() != nullptr;
}

int64_t layer_parameters(const architecture::ModelConfig& config) {
  const int64_t heads =
      config.layers.front().attention.heads + config.layers.front().attention.key_value_heads;
  return 2 * config.hidden_size * heads * config.layers.front().attention.head_size +
         3 * config.hidden_size * config.layers.front().feed_forward.width;
}

// One stage with what lies around it.
struct StageView {
  StageShape shape;
  int64_t next_columns = 0;  // of the stage behind; 0 behind the last
  int64_t mixed = 0;         // floats per token of attention's rotated and expanded tensors
  int64_t layer_weights = 0;
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
    return {.activations = activations(stage.shape.columns),
            .weights = 4 * weights + prepared(weights) + stage.layer_weights,
            .statistics = statistics(stage.shape),
            .solver = solver_(stage.shape)};
  }

  // While the streams go through it: chunk by chunk the outputs take the place of the inputs.
  WalkMemory advancing(const StageView& stage) const {
    const int64_t weights = stage.shape.rows * stage.shape.columns;
    const int64_t floats = stage.shape.rows + stage.next_columns + stage.mixed;
    return {
        .activations = activations(std::max(stage.shape.columns, stage.next_columns)),
        .temporaries = workers_ * chunk_ * (4 * floats + (packs_ ? 2 : 0) * stage.shape.columns),
        .weights = 8 * weights + 2 * prepared(weights) + stage.layer_weights};
  }

  // While the rounding of a whole layer is learned: of every weight its target, place, offset,
  // value, codes three times, and gradients, of every window in work what its graph keeps.
  WalkMemory reconstructing(const std::vector<StageView>& stages) const {
    int64_t weights = 0, floats = 0;
    for (const StageView& stage : stages) {
      weights += stage.shape.rows * stage.shape.columns;
      floats += stage.shape.rows + stage.shape.columns + stage.mixed;
    }
    const int64_t workers = std::min(demand_.threads, BlockRoundingOptions{}.batch_windows);
    return {.activations = activations(0),
            .temporaries = workers * demand_.window_tokens * 8 * floats,
            .weights = weights * (4 * 4 + 3),
            .solver = weights * 4 * (workers + 1)};
  }

 private:
  // Both streams: they share their tensors until they differ, which ends with the first stage.
  int64_t activations(int64_t columns) const {
    const int64_t per_token = streams_ * 4 * (config_.hidden_size + columns) +
                              (demand_.reconstruction ? 4 * config_.hidden_size : 0);
    return in_memory(per_token);
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

std::vector<StageView> stage_views(const architecture::ModelConfig& config, bool packs) {
  std::vector<StageView> views;
  int64_t layer_weights = 0;
  for (const architecture::Stage& stage : architecture::stages(config, 0)) {
    StageView& view = views.emplace_back();
    view.shape.writes_residual = stage.writes_residual;
    for (const architecture::Tensor& matrix : stage.matrices) {
      view.shape.rows += matrix.shape[0];
      view.shape.columns = matrix.shape[1];
    }
    view.layer_weights = layer_weights;  // a solver's results so far: a byte each
    layer_weights += view.shape.rows * view.shape.columns;
  }
  for (size_t i = 0; i + 1 < views.size(); ++i) views[i].next_columns = views[i + 1].shape.columns;
  // Rotated queries and keys and the mix; LibTorch's attention has keys and values for every head
  // and the mix in two orders.
  const int64_t heads = config.layers.front().attention.heads,
                shared = config.layers.front().attention.key_value_heads;
  views.front().mixed =
      config.layers.front().attention.head_size * (heads + shared + (packs ? 1 : 3) * heads);
  return views;
}

// Rows of every matrix of a layer.
std::vector<int64_t> matrix_rows(const architecture::ModelConfig& config) {
  std::vector<int64_t> rows;
  for (const architecture::Stage& stage : architecture::stages(config, 0)) {
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
  const std::vector<StageView> stages = stage_views(config, packs_factors(demand.precision));
  const MemoryModel model(config, demand, solver);
  WalkMemory peak = model.embedding();
  const auto consider = [&](const WalkMemory& memory) {
    if (memory.total() > peak.total()) peak = memory;
  };
  for (const StageView& stage : stages) {
    consider(model.solving(stage));
    if (demand.tokens > 0) consider(model.advancing(stage));
  }
  if (demand.reconstruction) consider(model.reconstructing(stages));
  if (demand.head) {
    const StageShape head{config.vocabulary_size, config.hidden_size, false};
    consider(model.solving({.shape = head}));
  }
  return peak;
}

absl::StatusOr<int64_t> gradient_memory(const architecture::ModelConfig& config,
                                        const GradientDemand& demand) {
  const bool packs = packs_factors(demand.precision);
  const std::vector<StageView> stages = stage_views(config, packs);
  const std::vector<int64_t> heights = matrix_rows(config);
  int64_t weights = 0, largest = 0, columns = 0, rows = 0, products = 0;
  for (const StageView& stage : stages) {
    const int64_t count = stage.shape.rows * stage.shape.columns;
    weights += count;
    largest = std::max(largest, count);
    columns += stage.shape.columns;
    rows += stage.shape.rows;
  }
  for (const int64_t height : heights)
    products += height <= demand.largest_rows ? height * height : 0;
  const int64_t width = 4 * config.hidden_size;
  const int64_t stored = demand.tokens * width * (config.layer_count() + 2);
  const int64_t kept = demand.spill_bytes == 0 ? stored : std::min(stored, demand.spill_bytes);
  const int64_t round =
      std::min(demand.tokens, gradient_round(demand.window_tokens) * demand.window_tokens);
  const int64_t workers =
      std::min(demand.threads, std::max<int64_t>(1, demand.tokens / demand.window_tokens));
  // Both ways of a layer's matrices; the gradients of a round, once more those of one matrix; of a
  // window in work the outputs, inputs and what attention keeps, with their gradients.
  const int64_t layer =
      (packs ? 4 : 8) * weights + (packs ? 8 : 0) * largest + 8 * products +
      4 * round * (rows + largest_of(heights)) +
      workers * demand.window_tokens * 8 * (rows + columns + stages.front().mixed);
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

double estimate_walk_operations(const architecture::ModelConfig& config, int64_t tokens,
                                bool drift) {
  const auto t = static_cast<double>(tokens);
  const double streams = drift ? 2 : 1;
  double operations = streams * 2 * t * static_cast<double>(layer_parameters(config));
  const int64_t attention =
      config.layers.front().attention.heads * config.layers.front().attention.head_size;
  for (const int64_t width : {config.hidden_size, attention, config.hidden_size,
                              config.layers.front().feed_forward.width}) {
    const auto d = static_cast<double>(width);
    operations += t * d * d * (drift ? 3 : 1) + d * d * d;
  }
  return operations * static_cast<double>(config.layer_count());
}

double estimate_rounding_operations(const architecture::ModelConfig& config, int64_t iterations,
                                    int64_t tokens, int64_t held_out_tokens,
                                    int64_t window_tokens) {
  if (iterations == 0) return 0;
  constexpr double kPerWeight = 20;  // of a step over places, offsets and codes
  const BlockRoundingOptions options;
  const int64_t windows = (tokens - held_out_tokens) / std::max<int64_t>(1, window_tokens);
  const auto n = static_cast<double>(iterations);
  const auto batch = static_cast<double>(std::min(options.batch_windows, windows) * window_tokens);
  const auto held_out = static_cast<double>(held_out_tokens);
  const double looks = 1 + static_cast<double>(std::min(options.guards, iterations));
  return static_cast<double>(config.layer_count()) * static_cast<double>(layer_parameters(config)) *
         (n * (6 * batch + kPerWeight) + 2 * looks * held_out);
}

double estimate_gradient_operations(const architecture::ModelConfig& config, int64_t tokens,
                                    int64_t largest_rows) {
  const auto t = static_cast<double>(tokens);
  const auto layers = static_cast<double>(config.layer_count());
  double operations = 3 * 2 * t * static_cast<double>(layer_parameters(config)) * layers;
  operations += 2 * 2 * t * static_cast<double>(config.vocabulary_size * config.hidden_size);
  const std::vector<int64_t> heights = matrix_rows(config);
  for (const int64_t rows : heights) {
    if (rows <= largest_rows) operations += t * static_cast<double>(rows * rows) * layers;
  }
  return operations;
}

}  // namespace frugal::layerwise
