// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/quantize_pass.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "layerwise/pruning/pattern.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/estimate.h"
#include "layerwise/walk/layer_store.h"
#include "layerwise/walk/walk.h"
#include "passes/common/calibration_options.h"
#include "passes/common/scale_tuning.h"
#include "passes/common/zeros.h"
#include "passes/quantize/choose_grids.h"
#include "passes/quantize/finish.h"
#include "passes/quantize/grid_solver.h"
#include "passes/quantize/options.h"
#include "passes/quantize/output.h"
#include "passes/quantize/output_metrics.h"
#include "passes/quantize/plan.h"
#include "tensor/device.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using Place = PlannedTensor::Place;

constexpr double kOperationsPerSecond =
    2e10;  // of one CPU core in fp32: a rough figure for estimates only

class QuantizePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "quantize",
                                     .version = 5,
                                     .summary =
                                         "Puts the decoder's matrices on a number grid (GGUF "
                                         "types, int4, int8), rounded to nearest or by GPTQ "
                                         "with activation-weighted scales."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_quantize_options(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  absl::StatusOr<GridSolverOptions> solver_options(const std::vector<PlannedTensor>& plan,
                                                   const format::ModelConfig& config) const;
  absl::StatusOr<layerwise::CalibrationSplit> windows(pass::RunContext& context) const;
  // With a target, what stands for the plan until the grids are chosen.
  absl::StatusOr<std::vector<PlannedTensor>> checked_plan(const pass::ModelInfo& model,
                                                          int64_t& output_bytes) const;
  struct Chosen {
    TargetPlan plan;
    GridAssignment assignment;
  };
  absl::StatusOr<Chosen> choose(pass::RunContext& context, const layerwise::CalibrationSplit& split,
                                const at::Device& device) const;

  absl::Status gather_metrics(pass::RunContext& context, const text::Windows& windows,
                              const std::vector<PlannedTensor>& plan, const at::Device& device,
                              std::optional<OutputMetrics>& metrics) const;

  QuantizeOptions options_;
};

int64_t element_count(const PlannedTensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  return count;
}

// Operations of sweeps and refinements, on top of the walk's.
double solver_operations(const std::vector<PlannedTensor>& plan, int64_t sweeps) {
  double operations = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.layer < 0) continue;
    operations += static_cast<double>(element_count(tensor)) *
                  static_cast<double>(tensor.shape.back()) *
                  (6.0 + 2.0 * static_cast<double>(sweeps));
  }
  return operations;
}

// What finish_quantized() does on the codes of `plan`: tuning, or the gate's look at the
// divergence.
TuningDemand tuning_demand(const QuantizeOptions& options, const std::vector<PlannedTensor>& plan,
                           int64_t window_tokens, int64_t windows) {
  TuningDemand demand;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.grid.empty()) continue;
    demand.weights += element_count(tensor);
    demand.largest = std::max(demand.largest, element_count(tensor));
    // A byte a code, and parameters.
    demand.code_bytes += element_count(tensor) + tensor.size_bytes / 8;
  }
  demand.window_tokens = std::max<int64_t>(1, window_tokens);
  demand.windows = options.tunes() ? options.tune_windows : windows;
  demand.validation_windows = options.held_out_windows();
  demand.loop.steps = options.tunes() ? options.tune_steps : 0;
  demand.own_student = options.measures_integers();
  demand.threads = at::get_num_threads();
  return demand;
}

// Operations of choosing grids for a target: gradients, a walk with a search for the scales of each
// candidate, and a forward over the held-out windows per swap.
double choice_operations(const TargetOptions& target, const format::ModelConfig& config,
                         int64_t tokens) {
  if (!target.active()) return 0;
  constexpr double kCandidates = 6, kSearchPerWeight = 500, kBackwards = 4, kHeldOutShare = 0.1;
  const auto parameters = static_cast<double>(config.parameter_count());
  const double forward = 2 * parameters * static_cast<double>(tokens);
  return layerwise::estimate_walk_operations(config, tokens, false) + kBackwards * forward +
         kCandidates * kSearchPerWeight * parameters +
         kHeldOutShare * forward * static_cast<double>(target.swaps + 1);
}

int64_t planned_bytes(const std::vector<PlannedTensor>& plan, int64_t element_bytes) {
  int64_t bytes = 0;
  for (const PlannedTensor& tensor : plan)
    bytes += tensor.grid.empty() ? element_count(tensor) * element_bytes : tensor.size_bytes;
  return bytes;
}

// What GridSolver holds at most beside its problem, in bytes (W weights, H squared columns, factors
// and corrections fp64, all else fp32). An upper bound: not all of it lives to the same moment.
int64_t solver_bytes(const QuantizeOptions& options, const layerwise::StageShape& stage) {
  const int64_t w = stage.rows * stage.columns, h = stage.columns * stage.columns;
  // Of the report: H, target, baseline, result, differences and their products, codes.
  const int64_t record = 4 * h + 26 * w;
  if (!options.gptq()) return record;
  const int64_t factorization = 5 * 8 * h;  // damped, flipped, its factor, the inverse, turned back
  // Damped H and factor; then corrections with the four steps of their products, or the sweep.
  const int64_t correction = options.drifts() ? (stage.writes_residual ? 40 : 32) * w : 0;
  const int64_t sweep = 4 * h + 17 * w;
  return std::max({record, factorization, 16 * h + std::max(correction, sweep)});
}

// `plan`: of the windows for the statistics; those held out come on top.
layerwise::WalkDemand demand_of(const QuantizeOptions& options, layerwise::CalibrationPlan plan) {
  using layerwise::DriftForm;
  const int64_t held_out = plan.length > 0 ? options.held_out_windows() : 0;
  plan.windows += held_out;
  layerwise::WalkDemand demand = walk_demand(options.windows, plan);
  demand.held_out_tokens = held_out * plan.length;
  demand.drift = !options.drifts() ? DriftForm::kNone
                 : options.gptaq() ? DriftForm::kInputs
                                   : DriftForm::kOutputs;
  demand.polish = options.learns_rounding();
  return demand;
}

int64_t gradient_tokens(const QuantizeOptions& options, const layerwise::WalkDemand& demand) {
  if (!options.feeds_back()) return 0;
  return std::min(options.gradient_windows * demand.window_tokens,
                  demand.tokens - demand.held_out_tokens);
}

// Of the end, where the result is put together, tuned and measured.
int64_t finish_bytes(const QuantizeOptions& options, const format::ModelConfig& config,
                     const TuningDemand& tuning) {
  const bool compares = options.tunes() || options.max_kl > 0;
  const int64_t comparing = compares ? tuning_memory(config, tuning) : 0;
  return tuning.code_bytes + std::max(4 * tuning.largest, comparing);
}

// Resident memory at its highest: in the walk, or behind it.
absl::StatusOr<int64_t> peak_bytes(const QuantizeOptions& options,
                                   const std::vector<PlannedTensor>& plan,
                                   const format::ModelConfig& config, layerwise::WalkDemand demand,
                                   const TuningDemand& tuning) {
  for (const PlannedTensor& tensor : plan)
    demand.head |= tensor.place == Place::kHead && !tensor.grid.empty();
  FRUGAL_ASSIGN_OR_RETURN(
      const layerwise::WalkMemory walk,
      layerwise::walk_memory(config, demand, [&](const layerwise::StageShape& stage) {
        return solver_bytes(options, stage);
      }));
  int64_t gradients = 0;
  if (options.feeds_back()) {
    FRUGAL_ASSIGN_OR_RETURN(
        gradients, layerwise::gradient_memory(config, {.tokens = gradient_tokens(options, demand),
                                                       .window_tokens = demand.window_tokens,
                                                       .precision = demand.precision,
                                                       .largest_rows = kLargestFeedbackRows,
                                                       .spill_bytes = demand.spill_bytes,
                                                       .threads = demand.threads}));
  }
  // To choose grids the whole model is held, and a rounded copy of it.
  const int64_t models = options.target.active() ? 2 * 4 * config.parameter_count() : 0;
  return layerwise::process_memory() +
         std::max({gradients, walk.total() + models, finish_bytes(options, config, tuning)});
}

// Bytes of the tensors that stay as they are.
absl::StatusOr<int64_t> kept_bytes(const format::Checkpoint& input,
                                   const std::vector<PlannedTensor>& plan) {
  int64_t bytes = 0;
  for (const PlannedTensor& tensor : plan) {
    if (!tensor.grid.empty()) continue;
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(tensor.name));
    bytes += info.size_bytes;
  }
  return bytes;
}

// H of few tokens describes those tokens and not the text: GPTQ then fits noise (at 3 tokens a
// column it came out hardly better than rounding to nearest, at 20 it had 0.4 of its divergence).
constexpr int64_t kTokensPerColumn = 8;

void warn_of_little_text(pass::CheckContext& context, const std::vector<PlannedTensor>& plan,
                         int64_t tokens) {
  int64_t widest = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.layer >= 0) widest = std::max(widest, tensor.shape.back());
  }
  if (tokens >= kTokensPerColumn * widest) return;
  context.warn(base::str_cat("quantize: ", tokens, " calibration tokens are few for rows of ",
                             widest, " weights; take at least ", kTokensPerColumn * widest,
                             " (more `windows`), or method: rtn"));
}

layerwise::ColumnOrder column_order(std::string_view name) {
  using layerwise::ColumnOrder;
  return name == "natural" ? ColumnOrder::kNatural
         : name == "act"   ? ColumnOrder::kDescending
                           : ColumnOrder::kGroupAware;
}

absl::Status check_order(const QuantizeOptions& options) {
  if (!options.gptq() || options.order != "act" || options.scales == "static")
    return absl::OkStatus();
  return base::invalid_argument(
      "quantize: scales = ", options.scales,
      " chooses the scales of a block when the sweep comes to it, order = act takes blocks apart; "
      "leave scales out (static), or take order: group_aware");
}

absl::Status check_asymmetry(const QuantizeOptions& options) {
  if (!options.gptq() || options.pre_corrects()) return absl::OkStatus();
  if (options.strength == "held_out") {
    return base::invalid_argument(
        "quantize: strength = held_out chooses the strength of asymmetric "
        "= pre_correct; with asymmetric = ",
        options.asymmetric, " leave it out");
  }
  if (options.gptaq() && options.metric == "both") {
    return base::invalid_argument(
        "quantize: asymmetric = gptaq rounds row by row as published; metric: both goes with "
        "asymmetric = pre_correct or none");
  }
  if (options.gptaq() && (options.pattern != "none" || options.keep_zeros)) {
    return base::invalid_argument(
        "quantize: asymmetric = gptaq does not know zeros (pattern, keep_zeros); take asymmetric = "
        "pre_correct");
  }
  return absl::OkStatus();
}

// Every grid must hold what the pattern asks for.
absl::Status check_sparsity(const QuantizeOptions& options,
                            const std::vector<PlannedTensor>& plan) {
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::Pattern pattern,
                          layerwise::parse_pattern(options.pattern));
  if (!pattern.none() && options.keep_zeros) {
    return base::invalid_argument("quantize: pattern = ", options.pattern,
                                  " chooses zeros, keep_zeros takes those that are there; only one "
                                  "of them");
  }
  if (pattern.none() && !options.keep_zeros) return absl::OkStatus();
  if (options.learns_rounding()) {
    return base::invalid_argument(
        "quantize: learned rounding (block_iterations) would move weights off zero; use recipe: "
        "fast or best with pattern and keep_zeros");
  }
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place != Place::kLayer || tensor.grid.empty()) continue;
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(tensor.grid, tensor.shape[1]));
    if (!grid->spec().holds_zero) {
      return base::invalid_argument("quantize: ", tensor.name, " goes to grid ", tensor.grid,
                                    ", which has no exact zero; take one that has (q4_0, q5_0, "
                                    "q8_0, q3_k, q6_k, int4, int8, nf4, ...)");
    }
    FRUGAL_RETURN_IF_ERROR(
        layerwise::check_pattern(pattern, tensor.shape[0], tensor.shape[1], tensor.name));
  }
  return absl::OkStatus();
}

// Zeros that the model comes with or gets. Rounding to nearest on a grid with an exact zero keeps
// them by itself.
absl::Status follow_zeros(pass::CheckContext& context, const QuantizeOptions& options,
                          const std::vector<PlannedTensor>& plan, pass::ModelInfo& model) {
  std::set<std::string, std::less<>> filled;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place != Place::kLayer || tensor.grid.empty()) continue;
    if (options.pattern != "none") model.zeros[tensor.name] = options.pattern;
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(tensor.grid, tensor.shape[1]));
    if (options.gptq() || options.learns_rounding() || !grid->spec().holds_zero)
      filled.insert(tensor.name);
  }
  if (options.keep_zeros || options.pattern != "none") return absl::OkStatus();
  lose_zeros(
      context, "quantize", model,
      [&](const std::string& weight) { return filled.contains(weight); },
      "this step would round them to other values; set keep_zeros: true to keep them (on a grid "
      "with an exact zero)");
  return absl::OkStatus();
}

// Rounded inputs are part of what the next pass sees.
absl::Status mark_activations(const std::vector<PlannedTensor>& plan,
                              format::Activations activations, pass::ModelInfo& model) {
  if (activations == format::Activations::kFloat) return absl::OkStatus();
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place != Place::kLayer) continue;
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(tensor.grid, tensor.shape[1]));
    FRUGAL_RETURN_IF_ERROR(base::annotate(
        format::check_activations(activations, grid->spec(), tensor.name), "quantize"));
    model.activations[tensor.name] = activations;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PlannedTensor>> QuantizePass::checked_plan(const pass::ModelInfo& model,
                                                                      int64_t& output_bytes) const {
  const int64_t element_bytes = model.dtype == "F32" ? 4 : 2;
  FRUGAL_RETURN_IF_ERROR(check_target(options_.target, options_.grid, options_.calibrated()));
  if (!options_.target.active()) {
    FRUGAL_ASSIGN_OR_RETURN(std::vector<PlannedTensor> plan,
                            plan_grids(model.config, options_.choice()));
    output_bytes = planned_bytes(plan, element_bytes);
    return plan;
  }
  FRUGAL_ASSIGN_OR_RETURN(const TargetPlan target,
                          plan_target(model.config, options_.choice(), options_.target));
  std::vector<PlannedTensor> plan = planned_tensors(target, representative_choice(target));
  int64_t kept = 0, chosen = 0;
  for (const PlannedTensor& tensor : plan)
    kept += tensor.grid.empty() ? element_count(tensor) * element_bytes : 0;
  for (const FreeMatrix& matrix : target.free) chosen += plan[matrix.tensor].size_bytes;
  FRUGAL_ASSIGN_OR_RETURN(const int64_t budget, target_budget(target, options_.target, kept));
  output_bytes = planned_bytes(plan, element_bytes) - chosen + budget;
  return plan;
}

absl::Status QuantizePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument(
        "quantize: '", model.name, "' is quantized already (", model.grids.begin()->first, " is ",
        model.grids.begin()->second,
        "); take the model it was made from, so that nothing is rounded twice");
  }
  int64_t output_bytes = 0;
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<PlannedTensor> plan, checked_plan(model, output_bytes));
  FRUGAL_RETURN_IF_ERROR(check_order(options_));
  FRUGAL_RETURN_IF_ERROR(check_asymmetry(options_));
  FRUGAL_RETURN_IF_ERROR(check_sparsity(options_, plan));
  if (options_.rounding() != format::Activations::kFloat &&
      (options_.tune_steps > 0 || options_.block_iterations > 0)) {
    return base::invalid_argument(
        "quantize: tuning and learned rounding do not see inputs rounded to int8; use recipe: fast "
        "or rtn with activations: int8");
  }
  FRUGAL_RETURN_IF_ERROR(mark_activations(plan, options_.rounding(), model));
  FRUGAL_RETURN_IF_ERROR(follow_zeros(context, options_, plan, model));
  if (options_.gptq() && !options_.calibrated()) {
    return base::invalid_argument(
        "quantize: method gptq needs `calibration` (an entry of data:); or set method: rtn");
  }
  if (options_.metric == "both" && !options_.feeds_back()) {
    return base::invalid_argument(
        "quantize: metric = both needs method: gptq with `calibration` (an entry of data:); with "
        "method: ",
        options_.method, " leave it out");
  }
  if (!options_.calibrated() &&
      (options_.tune_steps > 0 || options_.block_iterations > 0 || options_.max_kl > 0)) {
    return base::invalid_argument("quantize: ",
                                  options_.max_kl > 0       ? "max_kl"
                                  : options_.tune_steps > 0 ? "tune_steps"
                                                            : "block_iterations",
                                  " needs `calibration` (an entry of data:)");
  }
  layerwise::CalibrationPlan calibration;
  if (options_.calibrated()) {
    FRUGAL_ASSIGN_OR_RETURN(calibration, check_windows(context, "quantize", model,
                                                       options_.calibration, options_.windows));
    if (options_.gptq()) warn_of_little_text(context, plan, calibration.tokens());
  }
  for (const PlannedTensor& tensor : plan) {
    if (!tensor.grid.empty()) model.grids[tensor.name] = tensor.grid;
  }
  const bool drift = options_.drifts();
  const layerwise::WalkDemand demand = demand_of(options_, calibration);
  const TuningDemand tuning =
      tuning_demand(options_, plan, calibration.length, calibration.windows);
  const double operations =
      layerwise::estimate_walk_operations(model.config, demand.tokens, drift) +
      layerwise::estimate_gradient_operations(model.config, gradient_tokens(options_, demand),
                                              kLargestFeedbackRows) +
      (options_.gptq() ? solver_operations(plan, options_.sweeps) : 0) +
      layerwise::estimate_rounding_operations(
          model.config, demand.polish ? options_.block_iterations : 0, demand.tokens,
          demand.held_out_tokens, demand.window_tokens) +
      (options_.tunes() || options_.max_kl > 0 ? tuning_operations(model.config, tuning) : 0) +
      choice_operations(options_.target, model.config, demand.tokens);
  FRUGAL_ASSIGN_OR_RETURN(const int64_t peak,
                          peak_bytes(options_, plan, model.config, demand, tuning));
  context.estimate({.seconds = operations / kOperationsPerSecond,
                    .peak_memory_bytes = peak,
                    .output_bytes = output_bytes,
                    .basis = "operations at 20 GFLOP/s (one CPU core); memory: this process, "
                             "activations, statistics and one layer, or both models where they are "
                             "compared, on the CPU"});
  model.size_bytes = output_bytes;
  return absl::OkStatus();
}

absl::StatusOr<GridSolverOptions> QuantizePass::solver_options(
    const std::vector<PlannedTensor>& plan, const format::ModelConfig& config) const {
  GridSolverOptions result;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place == Place::kLayer || tensor.place == Place::kHead)
      result.grids[tensor.name] = tensor.grid;
  }
  FRUGAL_ASSIGN_OR_RETURN(result.stages, model::stages(config));
  result.layer_count = config.layer_count;
  result.method = options_.gptq() ? RoundingMethod::kGptq : RoundingMethod::kRoundToNearest;
  result.calibrated = options_.calibrated();
  result.importance = options_.importance;
  result.asymmetry = options_.asymmetry();
  result.gptaq = options_.gptaq();
  result.choose_asymmetry = options_.chooses_strength();
  result.factor.damping = options_.damping;
  result.order = column_order(options_.order);
  result.gptq.dynamic_scales = options_.scales == "dynamic";
  result.gptq.sweeps = static_cast<int>(options_.sweeps);
  result.gptq.refits = static_cast<int>(options_.refits);
  FRUGAL_ASSIGN_OR_RETURN(result.pattern, layerwise::parse_pattern(options_.pattern));
  result.keep_zeros = options_.keep_zeros;
  if (options_.learns_rounding()) {
    result.learned_rounding.emplace();
    result.learned_rounding->iterations = options_.block_iterations;
  }
  result.gate = options_.gate;
  return result;
}

absl::StatusOr<layerwise::CalibrationSplit> QuantizePass::windows(pass::RunContext& context) const {
  if (!options_.calibrated()) return layerwise::CalibrationSplit{};
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input.config(), source, options_.windows));
  layerwise::CalibrationPlan all = plan;
  all.windows += options_.held_out_windows() + options_.fresh_windows();
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows windows,
                          layerwise::load_calibration(input, source, all));
  layerwise::CalibrationSplit split = layerwise::split_windows(
      windows, plan.windows, options_.held_out_windows(), options_.fresh_windows());
  if (options_.windows.windows > split.seen.count) {
    context.warn(base::str_cat("calibration: the text fills ", windows.count, " windows of ",
                               windows.length, " tokens, ", all.windows, " were asked for; ",
                               split.seen.count, " are used for the statistics"));
  }
  return split;
}

absl::StatusOr<QuantizePass::Chosen> QuantizePass::choose(pass::RunContext& context,
                                                          const layerwise::CalibrationSplit& split,
                                                          const at::Device& device) const {
  const format::Checkpoint& input = *context.input();
  Chosen chosen;
  FRUGAL_ASSIGN_OR_RETURN(chosen.plan,
                          plan_target(input.config(), options_.choice(), options_.target));
  FRUGAL_ASSIGN_OR_RETURN(
      const int64_t kept,
      kept_bytes(input, planned_tensors(chosen.plan, representative_choice(chosen.plan))));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t budget, target_budget(chosen.plan, options_.target, kept));
  FRUGAL_ASSIGN_OR_RETURN(
      chosen.assignment,
      choose_grids(input, chosen.plan, budget, split,
                   {.device = device,
                    .precision = options_.windows.products(),
                    .seed = context.seed(),
                    .importance = options_.importance,
                    .swaps = options_.target.swaps,
                    .title = base::str_cat("quantize ", context.input_name()),
                    .file = context.resume_folder() / "allocation.json",
                    .stamp = base::str_cat("quantize ", info().version, " ", split.seen.text_sha256,
                                           " ", budget)}));
  return chosen;
}

absl::Status QuantizePass::gather_metrics(pass::RunContext& context, const text::Windows& windows,
                                          const std::vector<PlannedTensor>& plan,
                                          const at::Device& device,
                                          std::optional<OutputMetrics>& metrics) const {
  const format::Checkpoint& input = *context.input();
  const text::Windows some = text::some_windows(windows, options_.gradient_windows);
  metrics.emplace(context.resume_folder() / "gradients",
                  base::str_cat("gradients ", info().version, " ", some.text_sha256));
  std::set<std::string> names;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place == Place::kLayer && !tensor.grid.empty()) names.insert(tensor.name);
  }
  return metrics->gather(
      input, some, names,
      {.device = device,
       .precision = options_.windows.products(),
       .seed = context.seed(),
       .largest_rows = kLargestFeedbackRows,
       .spill_bytes = options_.windows.activation_memory,
       .spill_folder = context.resume_folder(),
       .title = base::str_cat("quantize ", context.input_name(), ": gradients")});
}

absl::Status QuantizePass::run(pass::RunContext& context) const {
  const format::Checkpoint& input = *context.input();
  const format::ModelConfig& config = input.config();
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::CalibrationSplit split, windows(context));
  std::optional<Chosen> chosen;
  std::vector<PlannedTensor> plan;
  if (options_.target.active()) {
    FRUGAL_ASSIGN_OR_RETURN(chosen, choose(context, split, device));
    plan = planned_tensors(chosen->plan, chosen->assignment.allocation.choice);
  } else {
    FRUGAL_ASSIGN_OR_RETURN(plan, plan_grids(config, options_.choice()));
  }
  const text::Windows calibration = layerwise::joined(split.seen, split.held_out);
  const LayerStore store(context.resume_folder(),
                         base::str_cat("quantize ", info().version, " ", calibration.text_sha256));
  FRUGAL_ASSIGN_OR_RETURN(GridSolverOptions solver_settings, solver_options(plan, config));
  solver_settings.device = device;
  std::optional<OutputMetrics> metrics;
  if (options_.feeds_back()) {
    FRUGAL_RETURN_IF_ERROR(gather_metrics(context, split.seen, plan, device, metrics));
    solver_settings.metrics = &*metrics;
  }
  GridSolver solver(std::move(solver_settings), store);
  layerwise::WalkOptions walk = walk_options(options_.windows, device, "quantize", context);
  walk.held_out = split.held_out.count;
  walk.activations = options_.rounding();
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, calibration, walk, solver));
  FRUGAL_ASSIGN_OR_RETURN(train::QuantizedMatrices matrices, planned_matrices(input, plan, store));
  FRUGAL_RETURN_IF_ERROR(finish_quantized(context, options_, split, device, matrices));
  FRUGAL_RETURN_IF_ERROR(
      write_quantized(input, plan, options_.rounding(), matrices, context.output_folder()));
  FRUGAL_RETURN_IF_ERROR(check_rounded_inputs(context, options_, split.held_out, device));
  FRUGAL_RETURN_IF_ERROR(report_quantized(context, plan, options_.keep_zeros, store));
  if (chosen) report_assignment(context, chosen->plan, chosen->assignment);
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<pass::Pass> make_quantize_pass() { return std::make_unique<QuantizePass>(); }

}  // namespace frugal::passes
