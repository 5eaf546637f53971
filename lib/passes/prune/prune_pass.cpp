// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/prune_pass.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/text.h"
#include "layerwise/pruning/channels.h"
#include "layerwise/walk/estimate.h"
#include "layerwise/walk/onlooker.h"
#include "model/architecture.h"
#include "passes/common/calibration_options.h"
#include "passes/common/zeros.h"
#include "passes/prune/channel_solver.h"
#include "passes/prune/channels.h"
#include "passes/prune/cut_solver.h"
#include "passes/prune/mask_solver.h"
#include "passes/prune/options.h"
#include "passes/prune/output.h"
#include "tensor/device.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

constexpr double kOperationsPerSecond =
    2e10;  // of one CPU core in fp32: a rough figure for estimates only

absl::StatusOr<size_t> stage_named(const std::vector<model::Stage>& stages, std::string_view name) {
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].name == name) return i;
  }
  return base::unimplemented("prune: the architecture has no stage ", name);
}

absl::StatusOr<Cut> neuron_cut(const PruneOptions& options, const format::ModelConfig& config,
                               const std::vector<model::Stage>& stages) {
  if (options.multiple_of > config.intermediate_size) {
    return base::invalid_argument("prune: multiple_of = ", options.multiple_of,
                                  " is larger than the model's ", config.intermediate_size,
                                  " feed-forward neurons");
  }
  Cut cut;
  cut.what = "neurons";
  FRUGAL_ASSIGN_OR_RETURN(cut.in_stage, stage_named(stages, "mlp_in"));
  FRUGAL_ASSIGN_OR_RETURN(cut.out_stage, stage_named(stages, "mlp_out"));
  cut.rows = stages[cut.in_stage].matrices;
  cut.count = config.intermediate_size;
  cut.keep = layerwise::kept_structures(cut.count, options.ffn, options.multiple_of);
  return cut;
}

absl::StatusOr<Cut> head_cut(const PruneOptions& options, const format::ModelConfig& config,
                             const std::vector<model::Stage>& stages) {
  Cut cut;
  FRUGAL_ASSIGN_OR_RETURN(cut.in_stage, stage_named(stages, "attention_in"));
  FRUGAL_ASSIGN_OR_RETURN(cut.out_stage, stage_named(stages, "attention_out"));
  const int64_t shared = config.head_count / config.key_value_head_count;
  if (options.whole_key_value_heads(config)) {
    cut.what = "key_value_heads";
    cut.rows = stages[cut.in_stage].matrices;
    cut.count = config.key_value_head_count;
    cut.unit = shared * config.head_size;
    cut.keep = layerwise::kept_structures(cut.count, options.heads, 1);
    return cut;
  }
  if (shared == 1) {
    return base::invalid_argument(
        "prune: heads_by = query, but every key/value head of this model serves one query head; "
        "take group (or auto)");
  }
  cut.what = "heads";
  cut.rows = {stages[cut.in_stage].matrices.front()};
  cut.count = config.head_count;
  cut.unit = config.head_size;
  cut.groups = config.key_value_head_count;
  cut.keep = cut.groups * layerwise::kept_structures(shared, options.heads, 1);
  return cut;
}

absl::StatusOr<std::vector<Cut>> cuts(const PruneOptions& options,
                                      const format::ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(config));
  std::vector<Cut> result;
  if (options.heads > 0) {
    FRUGAL_ASSIGN_OR_RETURN(Cut cut, head_cut(options, config, stages));
    result.push_back(std::move(cut));
  }
  if (options.ffn > 0) {
    FRUGAL_ASSIGN_OR_RETURN(Cut cut, neuron_cut(options, config, stages));
    result.push_back(std::move(cut));
  }
  return result;
}

// Layers named one by one.
absl::StatusOr<std::vector<int64_t>> layers_without(const std::vector<int64_t>& dropped,
                                                    int64_t layers) {
  std::vector<int64_t> kept;
  for (const int64_t layer : dropped) {
    if (layer < 0 || layer >= layers) {
      return base::invalid_argument("prune: dropped_layers names layer ", layer,
                                    ", the model has 0 to ", layers - 1);
    }
    if (std::count(dropped.begin(), dropped.end(), layer) > 1)
      return base::invalid_argument("prune: dropped_layers names layer ", layer, " twice");
  }
  for (int64_t layer = 0; layer < layers; ++layer) {
    if (std::find(dropped.begin(), dropped.end(), layer) == dropped.end()) kept.push_back(layer);
  }
  if (kept.empty()) return base::invalid_argument("prune: dropped_layers leaves no layer");
  return kept;
}

// What check says of a depth, before the influences are known.
absl::StatusOr<int64_t> kept_layer_count(const PruneOptions& options, int64_t layers) {
  if (!options.dropped_layers.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(const auto kept, layers_without(options.dropped_layers, layers));
    return static_cast<int64_t>(kept.size());
  }
  const std::vector<double> unknown(static_cast<size_t>(layers), 0.0);
  const auto kept = layerwise::layers_to_keep(unknown, {.drop = options.drop_layers,
                                                        .protect_first = options.protect_first,
                                                        .protect_last = options.protect_last});
  if (!kept.ok()) return base::annotate(kept.status(), "prune");
  return static_cast<int64_t>(kept->size());
}

class PrunePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "prune",
        .version = 4,
        .summary =
            "Removes weights (a share, n of every m, whole rows or columns), neurons and heads, "
            "channels, or whole layers, and refits what is left by least squares."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_prune_options(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  absl::Status check_channels(const format::ModelConfig& config) const;
  absl::Status check_mask(const format::ModelConfig& config) const;
  absl::StatusOr<layerwise::CalibrationPlan> check_calibration(PruneKind kind,
                                                               pass::CheckContext& context,
                                                               const pass::ModelInfo& model) const;
  int64_t kept_channels(const format::ModelConfig& config) const {
    return layerwise::kept_structures(config.hidden_size, options_.channels, options_.multiple_of);
  }
  absl::Status follow_zeros(PruneKind kind, pass::CheckContext& context,
                            pass::ModelInfo& model) const;
  absl::Status check_result(PruneKind kind, format::ModelConfig& config) const;
  double refit_operations(const format::ModelConfig& config) const;

  absl::StatusOr<CutOptions> cut_options(const format::Checkpoint& input) const;
  absl::StatusOr<MaskOptions> mask_options(const format::Checkpoint& input) const;
  absl::StatusOr<text::Windows> windows(PruneKind kind, pass::RunContext& context) const;
  absl::StatusOr<std::vector<int64_t>> kept_layers(pass::RunContext& context,
                                                   const text::Windows& calibration,
                                                   const layerwise::WalkOptions& walk) const;

  absl::Status run_mask(pass::RunContext& context, const text::Windows& calibration,
                        const layerwise::WalkOptions& walk) const;
  absl::Status run_width(pass::RunContext& context, const text::Windows& calibration,
                         const layerwise::WalkOptions& walk) const;
  absl::StatusOr<ChannelOptions> channel_options(const format::Checkpoint& input,
                                                 std::vector<int64_t> kept) const;
  absl::Status run_channels(pass::RunContext& context, const text::Windows& calibration,
                            const layerwise::WalkOptions& walk) const;
  absl::Status run_depth(pass::RunContext& context, const text::Windows& calibration,
                         const layerwise::WalkOptions& walk) const;
  absl::StatusOr<int64_t> walk_bytes_of(PruneKind kind, const format::ModelConfig& config,
                                        const layerwise::CalibrationPlan& calibration) const;
  layerwise::LayerStore store(const pass::RunContext& context,
                              const text::Windows& calibration) const {
    return {context.resume_folder(),
            base::str_cat("prune ", info().version, " ", calibration.text_sha256)};
  }

  PruneOptions options_;
};

absl::Status PrunePass::check_channels(const format::ModelConfig& config) const {
  FRUGAL_RETURN_IF_ERROR(base::annotate(model::stream_uses(config).status(), "prune"));
  if (options_.multiple_of > config.hidden_size) {
    return base::invalid_argument("prune: multiple_of = ", options_.multiple_of,
                                  " is larger than the model's ", config.hidden_size, " channels");
  }
  if (options_.structure_score(PruneKind::kChannels) == layerwise::StructureScore::kObsGreedy) {
    return base::invalid_argument(
        "prune: channels go for all layers at once, and obs_greedy would hold the second moments "
        "of all of them; take score obs");
  }
  if (options_.compensate && options_.alpha == 0 && options_.beta == 0) {
    return base::invalid_argument(
        "prune: what is left of the channels makes up for what they have lost against the original "
        "model by the shares alpha and beta, which are both 0; raise them, or set compensate: "
        "false");
  }
  return absl::OkStatus();
}

absl::Status PrunePass::check_mask(const format::ModelConfig& config) const {
  FRUGAL_ASSIGN_OR_RETURN(const auto matrices, matrix_patterns(options_, config));
  for (const MatrixPattern& matrix : matrices) {
    if (options_.solver != "sparsegpt" || matrix.pattern.of == layerwise::PatternOf::kWeights)
      continue;
    return base::invalid_argument("prune: ", matrix.name, " is to lose ",
                                  layerwise::to_text(matrix.pattern),
                                  ", but sparsegpt chooses weight by weight on its way through the "
                                  "columns; take solver s, wanda or magnitude");
  }
  if (options_.solver == "sparsegpt" && options_.scope == "matrix") {
    return base::invalid_argument(
        "prune: sparsegpt chooses its mask block by block and cannot count over a whole matrix; "
        "take scope row or block, or solver s");
  }
  return absl::OkStatus();
}

absl::StatusOr<layerwise::CalibrationPlan> PrunePass::check_calibration(
    PruneKind kind, pass::CheckContext& context, const pass::ModelInfo& model) const {
  if (!options_.calibration.name.empty())
    return check_windows(context, "prune", model, options_.calibration, options_.windows);
  if (!options_.needs_calibration(kind)) return layerwise::CalibrationPlan{};
  return base::invalid_argument(
      "prune: this needs `calibration` (an entry of data:); without it there are only solver "
      "magnitude without refit, score magnitude without compensation, and dropped_layers");
}

// `config` becomes that of the result.
absl::Status PrunePass::check_result(PruneKind kind, format::ModelConfig& config) const {
  switch (kind) {
    case PruneKind::kMask:
      return check_mask(config);
    case PruneKind::kWidth: {
      FRUGAL_ASSIGN_OR_RETURN(const std::vector<Cut> chosen, cuts(options_, config));
      config = narrowed_config(config, chosen);
      return absl::OkStatus();
    }
    case PruneKind::kChannels:
      FRUGAL_RETURN_IF_ERROR(check_channels(config));
      config = layerwise::with_channels(config, kept_channels(config));
      return absl::OkStatus();
    case PruneKind::kDepth:
      break;
  }
  FRUGAL_ASSIGN_OR_RETURN(config.layer_count, kept_layer_count(options_, config.layer_count));
  return absl::OkStatus();
}

// The zeros that masks make, and those that refits of what is left fill. `model` is still the
// input.
absl::Status PrunePass::follow_zeros(PruneKind kind, pass::CheckContext& context,
                                     pass::ModelInfo& model) const {
  constexpr std::string_view kWhy =
      "compensate refits matrices, which fills them; take channels, neurons and heads away first "
      "and weights last, or set compensate: false";
  switch (kind) {
    case PruneKind::kMask: {
      FRUGAL_ASSIGN_OR_RETURN(const auto matrices, matrix_patterns(options_, model.config));
      for (const MatrixPattern& matrix : matrices) {
        if (!matrix.pattern.none()) model.zeros[matrix.name] = layerwise::to_text(matrix.pattern);
      }
      return absl::OkStatus();
    }
    case PruneKind::kWidth: {
      if (!options_.compensate) return absl::OkStatus();
      FRUGAL_ASSIGN_OR_RETURN(const std::vector<Cut> chosen, cuts(options_, model.config));
      FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(model.config));
      const auto refitted = [&](const std::string& weight) {
        return std::any_of(chosen.begin(), chosen.end(), [&](const Cut& cut) {
          return weight.ends_with(
              base::str_cat(".", stages[cut.out_stage].matrices.front(), ".weight"));
        });
      };
      lose_zeros(context, "prune", model, refitted, kWhy);
      return absl::OkStatus();
    }
    case PruneKind::kChannels:
      if (options_.compensate)
        lose_zeros(context, "prune", model, [](const std::string&) { return true; }, kWhy);
      return absl::OkStatus();
    case PruneKind::kDepth:
      break;
  }
  return absl::OkStatus();
}

// 2 R in² a step of conjugate gradients, of which most rows need about half the most.
double PrunePass::refit_operations(const format::ModelConfig& config) const {
  if (!options_.refits()) return 0;
  double operations = 0;
  for (const format::ExpectedTensor& tensor : format::expected_tensors(config)) {
    if (!tensor.name.starts_with("model.layers.") || tensor.shape.size() != 2) continue;
    const auto rows = static_cast<double>(tensor.shape[0]);
    const auto columns = static_cast<double>(tensor.shape[1]);
    operations += static_cast<double>(options_.refit_steps) * rows * columns * columns;
  }
  return operations;
}

// With what a solver holds at most beside its problem: the factorization, or the factor with
// corrections, scores and the refit's fp32 copies.
absl::StatusOr<int64_t> PrunePass::walk_bytes_of(
    PruneKind kind, const format::ModelConfig& config,
    const layerwise::CalibrationPlan& calibration) const {
  const bool drift = options_.wants_drift(kind);
  layerwise::WalkDemand demand = walk_demand(options_.windows, calibration);
  if (kind == PruneKind::kDepth) demand.needs = layerwise::Needs::kNothing;
  if (drift) demand.drift = layerwise::DriftForm::kOutputs;
  const auto solver = [&](const layerwise::StageShape& stage) -> int64_t {
    const int64_t w = stage.rows * stage.columns, h = stage.columns * stage.columns;
    if (kind == PruneKind::kDepth) return 0;
    return std::max(40 * h, 16 * h + (drift ? 32 : 21) * w);
  };
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::WalkMemory memory,
                          layerwise::walk_memory(config, demand, solver));
  return memory.total();
}

// The refit of what is left solves a system per matrix; from few tokens it fits their noise (on
// 2048 and 5120 tokens for 256 columns it lost to the mere cut, on 16384 it halved the divergence).
constexpr int64_t kRefitTokensPerColumn = 16;

void warn_of_little_text(pass::CheckContext& context, const format::ModelConfig& config,
                         int64_t tokens) {
  const int64_t widest = std::max(config.hidden_size, config.intermediate_size);
  if (tokens >= kRefitTokensPerColumn * widest) return;
  context.warn(base::str_cat("prune: ", tokens, " calibration tokens are few to refit rows of ",
                             widest, " weights without some channels; take at least ",
                             kRefitTokensPerColumn * widest,
                             " (more `windows`), or compensate: false"));
}

absl::Status PrunePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument("prune: '", model.name,
                                  "' is quantized already; prune first, quantize afterwards");
  }
  FRUGAL_ASSIGN_OR_RETURN(const PruneKind kind, options_.kind());
  FRUGAL_RETURN_IF_ERROR(model::stages(model.config).status());
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::CalibrationPlan calibration,
                          check_calibration(kind, context, model));
  const int64_t tokens = calibration.tokens();
  const bool drift = options_.wants_drift(kind);
  const int64_t before = model.config.parameter_count();
  FRUGAL_ASSIGN_OR_RETURN(const int64_t walk_bytes, walk_bytes_of(kind, model.config, calibration));
  double operations = layerwise::estimate_walk_operations(model.config, tokens, drift);
  if (kind == PruneKind::kMask) operations += refit_operations(model.config);
  if (kind == PruneKind::kChannels) {
    if (options_.score != "magnitude" && options_.compensate)  // one walk to choose, one to refit
      operations += layerwise::estimate_walk_operations(model.config, tokens, false);
    if (options_.compensate) warn_of_little_text(context, model.config, tokens);
    if (options_.compensate && model.config.tied_embeddings) {
      context.warn(
          "prune: the head is tied to the embedding and cannot be refitted to the channels that "
          "are left; untie it for a better result (rotate does)");
    }
  }
  FRUGAL_RETURN_IF_ERROR(follow_zeros(kind, context, model));
  FRUGAL_RETURN_IF_ERROR(check_result(kind, model.config));
  const double share =
      static_cast<double>(model.config.parameter_count()) / static_cast<double>(before);
  model.size_bytes = static_cast<int64_t>(share * static_cast<double>(model.size_bytes));
  context.estimate({.seconds = operations / kOperationsPerSecond,
                    .peak_memory_bytes = layerwise::process_memory() + walk_bytes,
                    .output_bytes = model.size_bytes,
                    .basis = "operations at 20 GFLOP/s (one CPU core); activations, statistics and "
                             "one layer in memory"});
  return absl::OkStatus();
}

absl::StatusOr<CutOptions> PrunePass::cut_options(const format::Checkpoint& input) const {
  CutOptions result;
  FRUGAL_ASSIGN_OR_RETURN(result.cuts, cuts(options_, input.config()));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(input.config()));
  const std::string& reader = stages[result.cuts.front().out_stage].matrices.front();
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(model::weight_name(0, reader)));
  result.stored_type = tensor::scalar_type(info.dtype);
  result.score = options_.structure_score(PruneKind::kWidth);
  result.compensate = options_.compensate;
  result.gate = options_.gate;
  result.asymmetry = {options_.alpha, options_.beta};
  result.factor.damping = options_.cut_damping();
  return result;
}

absl::StatusOr<MaskOptions> PrunePass::mask_options(const format::Checkpoint& input) const {
  using layerwise::WeightScore;
  MaskOptions result;
  FRUGAL_ASSIGN_OR_RETURN(const auto matrices, matrix_patterns(options_, input.config()));
  for (const MatrixPattern& matrix : matrices) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(matrix.name));
    result.targets[matrix.name] = {.layer = matrix.layer,
                                   .stage = matrix.stage,
                                   .pattern = matrix.pattern,
                                   .stored_type = tensor::scalar_type(info.dtype)};
  }
  const std::string& score = options_.solver == "s" ? options_.mask_score : options_.solver;
  if (options_.solver == "sparsegpt") result.choice = MaskChoice::kSparseGpt;
  result.score = score == "wanda"       ? WeightScore::kWanda
                 : score == "magnitude" ? WeightScore::kMagnitude
                                        : WeightScore::kObs;
  result.refit = options_.refits();
  result.calibrated = !options_.calibration.name.empty();
  result.scope = options_.pattern_scope();
  result.mask_block = options_.mask_block;
  result.gate = options_.gate;
  result.refitting.steps = options_.refit_steps;
  result.asymmetry = {options_.alpha, options_.beta};
  result.factor.damping = options_.damping;
  return result;
}

absl::StatusOr<text::Windows> PrunePass::windows(PruneKind kind, pass::RunContext& context) const {
  const bool given = !options_.calibration.name.empty();
  // Cuts by magnitude have no use for the text; masks report their errors on it where it is given.
  if (!given || (kind != PruneKind::kMask && !options_.needs_calibration(kind)))
    return text::Windows{};
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input.config(), source, options_.windows));
  return layerwise::load_calibration(input, source, plan);
}

absl::Status PrunePass::run_mask(pass::RunContext& context, const text::Windows& calibration,
                                 const layerwise::WalkOptions& walk) const {
  FRUGAL_ASSIGN_OR_RETURN(MaskOptions options, mask_options(*context.input()));
  const layerwise::LayerStore layers = store(context, calibration);
  MaskSolver solver(std::move(options), layers);
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(*context.input(), calibration, walk, solver));
  FRUGAL_RETURN_IF_ERROR(write_masked(*context.input(), layers, context.output_folder()));
  FRUGAL_RETURN_IF_ERROR(report_errors(context, layers));
  FRUGAL_RETURN_IF_ERROR(report_zeros(context, layers));
  return report_sizes(context);
}

absl::Status PrunePass::run_width(pass::RunContext& context, const text::Windows& calibration,
                                  const layerwise::WalkOptions& walk) const {
  FRUGAL_ASSIGN_OR_RETURN(const CutOptions options, cut_options(*context.input()));
  const layerwise::LayerStore layers = store(context, calibration);
  CutSolver solver(options, layers);
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(*context.input(), calibration, walk, solver));
  FRUGAL_RETURN_IF_ERROR(
      write_narrowed(*context.input(), options.cuts, layers, context.output_folder()));
  FRUGAL_RETURN_IF_ERROR(report_errors(context, layers));
  report_cuts(context, options.cuts);
  return report_sizes(context);
}

absl::StatusOr<ChannelOptions> PrunePass::channel_options(const format::Checkpoint& input,
                                                          std::vector<int64_t> kept) const {
  ChannelOptions result;
  FRUGAL_ASSIGN_OR_RETURN(result.uses, model::stream_uses(input.config()));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<std::string> matrices,
                          model::decoder_matrices(input.config()));
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(matrices.front()));
  result.stored_type = tensor::scalar_type(info.dtype);
  result.removed = layerwise::other_channels(kept, input.config().hidden_size);
  result.kept = std::move(kept);
  result.min_tokens = options_.gate.min_tokens;
  result.asymmetry = {options_.alpha, options_.beta};
  result.factor.damping = options_.cut_damping();
  return result;
}

absl::Status PrunePass::run_channels(pass::RunContext& context, const text::Windows& calibration,
                                     const layerwise::WalkOptions& walk) const {
  const format::Checkpoint& input = *context.input();
  const int64_t count = input.config().hidden_size;
  FRUGAL_ASSIGN_OR_RETURN(
      std::vector<int64_t> kept,
      choose_channels(input, calibration, walk,
                      {.keep = kept_channels(input.config()),
                       .score = options_.structure_score(PruneKind::kChannels)}));
  const layerwise::LayerStore layers = store(context, calibration);
  if (options_.compensate) {
    FRUGAL_ASSIGN_OR_RETURN(const ChannelOptions options, channel_options(input, kept));
    layerwise::WalkOptions reduced = walk;
    reduced.removed_channels = options.removed;
    ChannelSolver solver(options, layers);
    FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, calibration, reduced, solver));
  }
  FRUGAL_RETURN_IF_ERROR(write_without_channels(
      input, kept, options_.compensate ? &layers : nullptr, context.output_folder()));
  if (options_.compensate) FRUGAL_RETURN_IF_ERROR(report_errors(context, layers));
  context.statistic({.name = "channels_kept",
                     .value = static_cast<double>(kept.size()),
                     .unit = "channels",
                     .help = base::str_cat("Of ", count, ".")});
  return report_sizes(context);
}

absl::StatusOr<std::vector<int64_t>> PrunePass::kept_layers(
    pass::RunContext& context, const text::Windows& calibration,
    const layerwise::WalkOptions& walk) const {
  const int64_t layers = context.input()->config().layer_count;
  if (!options_.dropped_layers.empty()) return layers_without(options_.dropped_layers, layers);
  std::vector<double> influence(static_cast<size_t>(layers));
  layerwise::WalkOptions watched = walk;
  watched.observe = [&](int64_t layer, const std::vector<at::Tensor>& before,
                        const std::vector<at::Tensor>& after) {
    influence[static_cast<size_t>(layer)] = layerwise::block_influence(before, after);
  };
  layerwise::Onlooker onlooker;
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(*context.input(), calibration, watched, onlooker));
  FRUGAL_ASSIGN_OR_RETURN(
      std::vector<int64_t> kept,
      layerwise::layers_to_keep(influence, {.drop = options_.drop_layers,
                                            .protect_first = options_.protect_first,
                                            .protect_last = options_.protect_last}));
  for (int64_t layer = 0; layer < layers; ++layer) {
    base::Json row;
    row["layer"] = layer;
    row["influence"] = base::finite_or_null(influence[static_cast<size_t>(layer)]);
    row["kept"] = std::find(kept.begin(), kept.end(), layer) != kept.end();
    context.row("layer_influence", std::move(row));
  }
  return kept;
}

absl::Status PrunePass::run_depth(pass::RunContext& context, const text::Windows& calibration,
                                  const layerwise::WalkOptions& walk) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept, kept_layers(context, calibration, walk));
  FRUGAL_RETURN_IF_ERROR(write_shallower(*context.input(), kept, context.output_folder()));
  context.statistic({.name = "layers_kept",
                     .value = static_cast<double>(kept.size()),
                     .unit = "layers",
                     .help = base::str_cat("Of ", context.input()->config().layer_count, ".")});
  return report_sizes(context);
}

absl::Status PrunePass::run(pass::RunContext& context) const {
  FRUGAL_ASSIGN_OR_RETURN(const PruneKind kind, options_.kind());
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration, windows(kind, context));
  const layerwise::WalkOptions walk = walk_options(options_.windows, device, "prune", context);
  switch (kind) {
    case PruneKind::kMask:
      return run_mask(context, calibration, walk);
    case PruneKind::kWidth:
      return run_width(context, calibration, walk);
    case PruneKind::kChannels:
      return run_channels(context, calibration, walk);
    case PruneKind::kDepth:
      break;
  }
  return run_depth(context, calibration, walk);
}

}  // namespace

std::unique_ptr<pass::Pass> make_prune_pass() { return std::make_unique<PrunePass>(); }

}  // namespace frugal::passes
