#include "passes/quantize/forecast.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/text.h"
#include "layerwise/walk/estimate.h"
#include "layerwise/walk/walk.h"
#include "passes/common/calibration_options.h"
#include "passes/common/machine_speed.h"
#include "passes/common/scale_tuning.h"
#include "passes/quantize/output_fisher_store.h"

namespace frugal::passes {
namespace {

using Place = PlannedTensor::Place;

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

// What tune_end_to_end() does on the codes of `plan`: tuning, or the gate's look at the
// divergence.
TuningDemand tuning_demand(const QuantizeSettings& settings, const std::vector<PlannedTensor>& plan,
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
  demand.windows = settings.tunes() ? settings.tune_windows : windows;
  demand.validation_windows = settings.held_out_needed();
  demand.loop.steps = settings.tunes() ? settings.tune_steps : 0;
  demand.own_student = settings.measures_integers();
  demand.threads = at::get_num_threads();
  return demand;
}

// Operations of choosing grids for a target: gradients, a walk with a search for the scales of each
// candidate, and a forward over the held-out windows per swap.
double choice_operations(const TargetOptions& target, const architecture::ModelConfig& config,
                         int64_t tokens) {
  if (!target.active()) return 0;
  constexpr double kCandidates = 6, kSearchPerWeight = 500, kBackwards = 4, kHeldOutShare = 0.1;
  const auto parameters = static_cast<double>(config.parameter_count());
  // Of a token: the layers, through the experts it is sent to, and the head.
  const double forward = layerwise::estimate_forward_operations(config, tokens) +
                         2 * static_cast<double>(config.vocabulary_size * config.hidden_size) *
                             static_cast<double>(tokens);
  return layerwise::estimate_walk_operations(config, tokens, false) + kBackwards * forward +
         kCandidates * kSearchPerWeight * parameters +
         kHeldOutShare * forward * static_cast<double>(target.swaps + 1);
}

// What GridSolver holds at most beside its problem, in bytes (W weights, H squared columns, factors
// and corrections fp64, all else fp32). An upper bound: not all of it lives to the same moment.
int64_t solver_bytes(const QuantizeSettings& settings, const layerwise::StageShape& stage) {
  const int64_t w = stage.rows * stage.columns, h = stage.columns * stage.columns;
  // Of the report: H, target, baseline, result, differences and their products, codes.
  const int64_t record = 4 * h + 26 * w;
  if (!settings.gptq()) return record;
  const int64_t factorization = 5 * 8 * h;  // damped, flipped, its factor, the inverse, turned back
  // Damped H and factor; then corrections with the four steps of their products, or the sweep.
  const int64_t correction = settings.drifts() ? (stage.writes_residual ? 40 : 32) * w : 0;
  const int64_t sweep = 4 * h + 17 * w;
  return std::max({record, factorization, 16 * h + std::max(correction, sweep)});
}

// `plan`: of the windows for the statistics; those held out come on top.
layerwise::WalkDemand demand_of(const QuantizeSettings& settings, layerwise::CalibrationPlan plan) {
  using layerwise::DriftForm;
  const int64_t held_out = plan.length > 0 ? settings.held_out_needed() : 0;
  plan.windows += held_out;
  layerwise::WalkDemand demand = walk_demand(settings.windows, plan);
  demand.held_out_tokens = held_out * plan.length;
  demand.drift = !settings.drifts() ? DriftForm::kNone
                 : settings.gptaq() ? DriftForm::kInputs
                                    : DriftForm::kOutputs;
  demand.reconstruction = settings.learns_rounding();
  return demand;
}

int64_t gradient_tokens(const QuantizeSettings& settings, const layerwise::WalkDemand& demand) {
  if (!settings.two_sided()) return 0;
  return std::min(settings.gradient_windows * demand.window_tokens,
                  demand.tokens - demand.held_out_tokens);
}

// Of the end, where the result is put together, tuned and measured.
int64_t end_bytes(const QuantizeSettings& settings, const architecture::ModelConfig& config,
                  const TuningDemand& tuning) {
  // Written one by one: an embedding's values and codes at most.
  if (!settings.tunes() && settings.max_kl == 0) return 6 * tuning.largest;
  return tuning.code_bytes + std::max(4 * tuning.largest, tuning_memory(config, tuning));
}

// Resident memory at its highest: in the walk, or behind it.
absl::StatusOr<int64_t> peak_bytes(const QuantizeSettings& settings,
                                   const std::vector<PlannedTensor>& plan,
                                   const architecture::ModelConfig& config,
                                   layerwise::WalkDemand demand, const TuningDemand& tuning,
                                   const layerwise::CalibrationPlan& written) {
  for (const PlannedTensor& tensor : plan)
    demand.head |= tensor.place == Place::kHead && !tensor.grid.empty();
  FRUGAL_ASSIGN_OR_RETURN(
      const layerwise::WalkMemory walk,
      layerwise::walk_memory(config, demand, [&](const layerwise::StageShape& stage) {
        return solver_bytes(settings, stage);
      }));
  int64_t gradients = 0;
  if (settings.two_sided()) {
    FRUGAL_ASSIGN_OR_RETURN(
        gradients, layerwise::gradient_memory(config, {.tokens = gradient_tokens(settings, demand),
                                                       .window_tokens = demand.window_tokens,
                                                       .precision = demand.precision,
                                                       .largest_rows = kLargestTwoSidedRows,
                                                       .spill_bytes = demand.spill_bytes,
                                                       .threads = demand.threads}));
  }
  // To choose grids the whole model is held, and a rounded copy of it.
  const int64_t models = settings.target.active() ? 2 * 4 * config.parameter_count() : 0;
  return layerwise::process_memory() +
         std::max({gradients, walk.total() + models, end_bytes(settings, config, tuning),
                   writing_memory(config, written)});
}

double operations_of(const QuantizeSettings& settings, const architecture::ModelConfig& config,
                     const layerwise::WalkDemand& demand, const TuningDemand& tuning) {
  const double streams = settings.drifts() ? 2 : 1;
  return layerwise::estimate_walk_operations(config, demand.tokens, settings.drifts(),
                                             demand.expert_blend) +
         streams *
             layerwise::estimate_attention_operations(config, demand.tokens, demand.window_tokens) +
         layerwise::estimate_gradient_operations(config, gradient_tokens(settings, demand),
                                                 kLargestTwoSidedRows) +
         layerwise::estimate_rounding_operations(
             config, demand.reconstruction ? settings.rounding_iterations : 0, demand.tokens,
             demand.held_out_tokens, demand.window_tokens) +
         (settings.tunes() || settings.max_kl > 0 ? tuning_operations(config, tuning) : 0) +
         choice_operations(settings.target, config, demand.tokens);
}

// Of the searches for scales.
double search_seconds(const QuantizeSettings& settings, const std::vector<PlannedTensor>& plan) {
  double seconds = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.grid.empty()) continue;
    const auto search = settings.gptq() ? grid::ScaleSearch::kFull : settings.search();
    seconds += static_cast<double>(element_count(tensor)) *
               rounding_seconds(tensor.grid, tensor.shape.back(), search);
  }
  return seconds;
}

}  // namespace

int64_t element_count(const PlannedTensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  return count;
}

int64_t planned_bytes(const std::vector<PlannedTensor>& plan, int64_t element_bytes) {
  int64_t bytes = 0;
  for (const PlannedTensor& tensor : plan)
    bytes += tensor.grid.empty() ? element_count(tensor) * element_bytes : tensor.size_bytes;
  return bytes;
}

absl::StatusOr<pass::Estimate> forecast(const QuantizeSettings& settings,
                                        const std::vector<PlannedTensor>& plan,
                                        const architecture::ModelConfig& config,
                                        const layerwise::CalibrationPlan& calibration,
                                        int64_t output_bytes, const at::Device& device) {
  const layerwise::WalkDemand demand = demand_of(settings, calibration);
  // Windows held out and those of the tuning are written, too.
  layerwise::CalibrationPlan written = calibration;
  if (written.length > 0) written.windows += settings.held_out_needed() + settings.fresh_windows();
  const TuningDemand tuning =
      tuning_demand(settings, plan, calibration.length, calibration.windows);
  FRUGAL_ASSIGN_OR_RETURN(const int64_t peak,
                          peak_bytes(settings, plan, config, demand, tuning, written));
  const std::optional<double> speed = walk_speed(settings.windows.products(), device);
  std::optional<double> seconds =
      seconds_of(operations_of(settings, config, demand, tuning), speed);
  if (seconds) {
    const double sweeps = settings.gptq() ? solver_operations(plan, settings.descent_passes) : 0;
    *seconds += *seconds_of(sweeps, sweep_speed(device)) + search_seconds(settings, plan);
  }
  return pass::Estimate{
      .seconds = with_writing(seconds, config, written, device),
      .peak_memory_bytes = peak,
      .output_bytes = output_bytes,
      .basis = base::str_cat(
          settings.gptq() ? ""
                          : base::str_cat("scales by the ", settings.scale_search, " search; "),
          "operations ", speed_text(speed),
          "; memory: this process, activations, "
          "statistics and one layer, or both models where they are compared, on the CPU")};
}

}  // namespace frugal::passes
