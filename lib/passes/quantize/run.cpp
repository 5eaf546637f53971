#include "passes/quantize/run.h"

#include <ATen/core/Tensor.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/layer_store.h"
#include "layerwise/walk/walk.h"
#include "passes/common/calibration_options.h"
#include "passes/quantize/choose_grids.h"
#include "passes/quantize/end_to_end.h"
#include "passes/quantize/grid_solver.h"
#include "passes/quantize/output.h"
#include "passes/quantize/output_fisher_store.h"
#include "passes/quantize/plan.h"
#include "tensor/device.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using Place = PlannedTensor::Place;

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

layerwise::ColumnOrder column_order(std::string_view name) {
  using layerwise::ColumnOrder;
  return name == "natural" ? ColumnOrder::kNatural
         : name == "act"   ? ColumnOrder::kDescending
                           : ColumnOrder::kGroupAware;
}

// What recipe and methods came to.
void report_settings(pass::RunContext& context, const QuantizeSettings& settings) {
  context.row("settings", {{"method", settings.method},
                           {"windows", settings.windows.windows},
                           {"held_out_windows", settings.held_out_windows},
                           {"hessian", settings.hessian},
                           {"gradient_windows", settings.gradient_windows},
                           {"drift_strength", settings.drift_strength},
                           {"alpha", settings.alpha},
                           {"scales", settings.scales},
                           {"scale_search", settings.scale_search},
                           {"rounding_iterations", settings.rounding_iterations},
                           {"tune_steps", settings.tune_steps},
                           {"tune_learning_rate", settings.tune_learning_rate}});
}

class Quantization {
 public:
  Quantization(pass::RunContext& context, const QuantizeSettings& settings, int64_t version)
      : context_(context), input_(*context.input()), settings_(settings), version_(version) {}

  absl::Status run();

 private:
  struct Chosen {
    TargetPlan plan;
    GridAssignment assignment;
  };
  absl::StatusOr<layerwise::CalibrationSplit> windows() const;
  absl::StatusOr<Chosen> choose() const;
  // `chosen` is set where a target decides.
  absl::StatusOr<std::vector<PlannedTensor>> decide_grids(std::optional<Chosen>& chosen) const;
  absl::StatusOr<GridSolverOptions> solver_options(const std::vector<PlannedTensor>& plan) const;
  absl::Status gather_fisher(const std::vector<PlannedTensor>& plan,
                             std::optional<OutputFisherStore>& fisher) const;

  pass::RunContext& context_;
  const format::Checkpoint& input_;
  const QuantizeSettings& settings_;
  const int64_t version_;
  at::Device device_ = at::kCPU;
  layerwise::CalibrationSplit split_;
};

absl::StatusOr<GridSolverOptions> Quantization::solver_options(
    const std::vector<PlannedTensor>& plan) const {
  GridSolverOptions result;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place == Place::kLayer || tensor.place == Place::kHead)
      result.grids[tensor.name] = tensor.grid;
  }
  result.stages = architecture::all_stages(input_.config());
  result.head = architecture::tensor_name(input_.config(), architecture::Role::kHead);
  result.device = device_;
  result.method = settings_.gptq() ? RoundingMethod::kGptq : RoundingMethod::kRoundToNearest;
  result.calibrated = settings_.calibrated();
  result.importance = settings_.importance;
  result.scale_search = settings_.search();
  result.drift_strength = settings_.fixed_drift_strength();
  result.gptaq = settings_.gptaq();
  result.choose_drift_strength = settings_.chooses_drift_strength();
  result.factor.damping = settings_.damping;
  result.order = column_order(settings_.order);
  result.gptq.dynamic_scales = settings_.scales == "dynamic";
  result.gptq.sweeps = static_cast<int>(settings_.descent_passes);
  result.gptq.refits = static_cast<int>(settings_.scale_refits);
  FRUGAL_ASSIGN_OR_RETURN(result.pattern, layerwise::parse_pattern(settings_.pattern));
  result.keep_zeros = settings_.keep_zeros;
  if (settings_.learns_rounding()) {
    result.learned_rounding.emplace();
    result.learned_rounding->iterations = settings_.rounding_iterations;
  }
  result.gate = settings_.gate;
  return result;
}

absl::StatusOr<layerwise::CalibrationSplit> Quantization::windows() const {
  if (!settings_.calibrated()) return layerwise::CalibrationSplit{};
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context_.data(settings_.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input_.config(), source, settings_.windows));
  layerwise::CalibrationPlan all = plan;
  all.windows += settings_.held_out_needed() + settings_.fresh_windows();
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows windows,
                          load_windows(context_, input_, device_, "quantize", source, all));
  layerwise::CalibrationSplit split = layerwise::split_windows(
      windows, plan.windows, settings_.held_out_needed(), settings_.fresh_windows());
  if (settings_.windows.windows > split.seen.count) {
    context_.warn(base::str_cat("calibration: the text fills ", windows.count, " windows of ",
                                windows.length, " tokens, ", all.windows, " were asked for; ",
                                split.seen.count, " are used for the statistics"));
  }
  return split;
}

absl::StatusOr<Quantization::Chosen> Quantization::choose() const {
  Chosen chosen;
  // What is chosen by needs statistics of every expert.
  const layerwise::WalkOptions walk = walk_options(settings_.windows, device_, "target", context_);
  FRUGAL_ASSIGN_OR_RETURN(chosen.plan,
                          plan_target(input_.config(), settings_.choice(), settings_.target));
  FRUGAL_ASSIGN_OR_RETURN(
      const int64_t kept,
      kept_bytes(input_, planned_tensors(chosen.plan, representative_choice(chosen.plan))));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t budget, target_budget(chosen.plan, settings_.target, kept));
  FRUGAL_ASSIGN_OR_RETURN(
      chosen.assignment,
      choose_grids(input_, chosen.plan, budget, split_,
                   {.device = device_,
                    .precision = settings_.windows.products(),
                    .seed = context_.seed(),
                    .importance = settings_.importance,
                    .min_expert_tokens = walk.min_expert_tokens,
                    .expert_blend = walk.expert_blend,
                    .swaps = settings_.target.swaps,
                    .title = base::str_cat("quantize ", context_.input_name()),
                    .file = context_.resume_folder() / "allocation.json",
                    .stamp = base::str_cat("quantize ", version_, " ", split_.seen.text_sha256, " ",
                                           budget)}));
  return chosen;
}

absl::Status Quantization::gather_fisher(const std::vector<PlannedTensor>& plan,
                                         std::optional<OutputFisherStore>& fisher) const {
  const text::Windows some = text::some_windows(split_.seen, settings_.gradient_windows);
  fisher.emplace(context_.resume_folder() / "gradients",
                 base::str_cat("gradients ", version_, " ", some.text_sha256));
  std::set<std::string> names;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place == Place::kLayer && !tensor.grid.empty()) names.insert(tensor.name);
  }
  return fisher->gather(
      input_, some, names,
      {.device = device_,
       .precision = settings_.windows.products(),
       .seed = context_.seed(),
       .largest_rows = kLargestTwoSidedRows,
       .spill_bytes = settings_.windows.activation_memory,
       .spill_folder = context_.resume_folder(),
       .title = base::str_cat("quantize ", context_.input_name(), ": gradients")});
}

absl::StatusOr<std::vector<PlannedTensor>> Quantization::decide_grids(
    std::optional<Chosen>& chosen) const {
  if (!settings_.target.active()) return plan_grids(input_.config(), settings_.choice());
  FRUGAL_ASSIGN_OR_RETURN(chosen, choose());
  return planned_tensors(chosen->plan, chosen->assignment.allocation.choice);
}

absl::Status Quantization::run() {
  FRUGAL_ASSIGN_OR_RETURN(device_, tensor::open_device(context_.device()));
  FRUGAL_ASSIGN_OR_RETURN(split_, windows());
  std::optional<Chosen> chosen;
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<PlannedTensor> plan, decide_grids(chosen));
  const text::Windows calibration = layerwise::joined(split_.seen, split_.held_out);
  const LayerStore store(context_.resume_folder(),
                         base::str_cat("quantize ", version_, " ", calibration.text_sha256));
  FRUGAL_ASSIGN_OR_RETURN(GridSolverOptions solver_settings, solver_options(plan));
  std::optional<OutputFisherStore> fisher;
  if (settings_.two_sided()) {
    FRUGAL_RETURN_IF_ERROR(gather_fisher(plan, fisher));
    solver_settings.output_fisher = &*fisher;
  }
  GridSolver solver(std::move(solver_settings), store);
  layerwise::WalkOptions walk = walk_options(settings_.windows, device_, "quantize", context_);
  walk.held_out = split_.held_out.count;
  walk.activations = settings_.rounding();
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input_, calibration, walk, solver));
  std::optional<train::QuantizedMatrices> tuned;
  if (settings_.tunes() || settings_.measures_floats()) {  // they need all matrices at once
    FRUGAL_ASSIGN_OR_RETURN(tuned, planned_matrices(input_, plan, settings_.search(), store));
    FRUGAL_RETURN_IF_ERROR(tune_end_to_end(context_, settings_, split_, device_, *tuned));
  }
  FRUGAL_RETURN_IF_ERROR(write_quantized(input_, plan, settings_.search(), settings_.rounding(),
                                         store, tuned ? &*tuned : nullptr,
                                         context_.output_folder()));
  FRUGAL_RETURN_IF_ERROR(check_integer_model(context_, settings_, split_.held_out, device_));
  report_settings(context_, settings_);
  FRUGAL_RETURN_IF_ERROR(report_quantized(context_, plan, settings_.keep_zeros, store));
  if (chosen) report_assignment(context_, chosen->plan, chosen->assignment);
  return absl::OkStatus();
}

}  // namespace

absl::Status run_quantization(pass::RunContext& context, const QuantizeSettings& settings,
                              int64_t version) {
  return Quantization(context, settings, version).run();
}

}  // namespace frugal::passes
