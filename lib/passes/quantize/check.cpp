// Tested by: tests/passes/quantize_check_test.cpp
#include "passes/quantize/check.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "architecture/tensors.h"
#include "base/text.h"
#include "layerwise/pruning/pattern.h"
#include "passes/common/calibration_options.h"
#include "passes/common/zeros.h"
#include "passes/quantize/forecast.h"
#include "passes/quantize/parts.h"
#include "passes/quantize/plan.h"
#include "passes/quantize/target.h"

namespace frugal::passes {
namespace {

using Place = PlannedTensor::Place;

int64_t element_bytes(const pass::ModelInfo& model) { return model.dtype == "F32" ? 4 : 2; }

// H of few tokens describes those tokens and not the text: GPTQ then fits noise (at 3 tokens a
// column it came out hardly better than rounding to nearest, at 20 it had 0.4 of its divergence).
constexpr int64_t kTokensPerColumn = 8;

// An expert gets its share of the tokens only.
void warn_of_little_text(pass::CheckContext& context, const std::vector<PlannedTensor>& plan,
                         const architecture::ModelConfig& config, int64_t tokens) {
  const auto places = architecture::places(config);
  int64_t widest = 0, needed = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.layer < 0) continue;
    const int64_t columns = tensor.shape.back();
    int64_t least = kTokensPerColumn * columns;
    const auto place = places.find(tensor.name);
    if (place != places.end() && place->second.expert != architecture::kNoExpert) {
      const auto& experts = *config.layers[static_cast<size_t>(tensor.layer)].experts;
      least = (least * experts.count + experts.per_token - 1) / experts.per_token;
    }
    if (least <= needed) continue;
    needed = least;
    widest = columns;
  }
  if (tokens >= needed) return;
  context.warn(base::str_cat(
      "quantize: ", tokens, " calibration tokens are few for rows of ", widest, " weights",
      needed > kTokensPerColumn * widest ? " in experts that share them" : "", "; take at least ",
      needed, " (more `windows`), or method: rtn"));
}

absl::Status check_order(const QuantizeSettings& settings) {
  if (!settings.gptq() || settings.order != "act" || settings.scales == "static")
    return absl::OkStatus();
  return base::invalid_argument(
      "quantize: scales = ", settings.scales,
      " chooses the scales of a block when the sweep comes to it, order = act takes blocks apart; "
      "leave scales out (static), or take order: group_aware");
}

absl::Status check_scale_search(const QuantizeSettings& settings) {
  if (!settings.gptq() || settings.scale_search == "full") return absl::OkStatus();
  return base::invalid_argument("quantize: scale_search = ", settings.scale_search,
                                " goes with method: rtn; gptq chooses the scales of a block on "
                                "weights that change with every "
                                "column, and searches in full: leave scale_search out");
}

absl::Status check_drift_correction(const QuantizeSettings& settings) {
  if (!settings.gptq() || settings.pre_corrects()) return absl::OkStatus();
  if (settings.drift_strength == "held_out") {
    return base::invalid_argument(
        "quantize: drift_strength = held_out chooses the strength of drift_correction = "
        "pre_correct; with drift_correction = ",
        settings.drift_correction, " leave it out");
  }
  if (settings.gptaq() && settings.hessian == "two_sided") {
    return base::invalid_argument(
        "quantize: drift_correction = gptaq rounds row by row as published; hessian: two_sided "
        "goes with drift_correction = pre_correct or none");
  }
  if (settings.gptaq() && (settings.pattern != "none" || settings.keep_zeros)) {
    return base::invalid_argument(
        "quantize: drift_correction = gptaq does not know zeros (pattern, keep_zeros); take "
        "drift_correction = pre_correct");
  }
  return absl::OkStatus();
}

// Every grid must hold what the pattern asks for.
absl::Status check_sparsity(const QuantizeSettings& settings,
                            const std::vector<PlannedTensor>& plan) {
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::Pattern pattern,
                          layerwise::parse_pattern(settings.pattern));
  if (!pattern.none() && settings.keep_zeros) {
    return base::invalid_argument("quantize: pattern = ", settings.pattern,
                                  " chooses zeros, keep_zeros takes those that are there; only one "
                                  "of them");
  }
  if (pattern.none() && !settings.keep_zeros) return absl::OkStatus();
  if (settings.learns_rounding()) {
    return base::invalid_argument(
        "quantize: learned rounding (rounding_iterations) would move weights off zero; use recipe: "
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
    if (pattern.none()) continue;
    FRUGAL_RETURN_IF_ERROR(layerwise::check_zeros(pattern, layerwise::PatternScope::kRow,
                                                  tensor.shape[0], tensor.shape[1], tensor.name));
  }
  return absl::OkStatus();
}

absl::Status check_int8_inputs(const QuantizeSettings& settings) {
  if (settings.rounding() != format::Activations::kFloat &&
      (settings.tune_steps > 0 || settings.rounding_iterations > 0)) {
    return base::invalid_argument(
        "quantize: tuning and learned rounding do not see inputs rounded to int8; use recipe: fast "
        "or rtn with activations: int8");
  }
  return absl::OkStatus();
}

absl::Status check_hessian(const QuantizeSettings& settings) {
  if (settings.hessian == "two_sided" && !settings.two_sided()) {
    return base::invalid_argument("quantize: hessian = two_sided needs method: gptq; with method: ",
                                  settings.method, " leave it out");
  }
  return absl::OkStatus();
}

// Zeros that the model comes with or gets. Rounding to nearest on a grid with an exact zero keeps
// them by itself.
absl::Status follow_zeros(pass::CheckContext& context, const QuantizeSettings& settings,
                          const std::vector<PlannedTensor>& plan, pass::ModelInfo& model) {
  std::set<std::string, std::less<>> filled;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place != Place::kLayer || tensor.grid.empty()) continue;
    if (settings.pattern != "none") model.zeros[tensor.name] = settings.pattern;
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(tensor.grid, tensor.shape[1]));
    if (settings.gptq() || settings.learns_rounding() || !grid->spec().holds_zero)
      filled.insert(tensor.name);
  }
  if (settings.keep_zeros || settings.pattern != "none") return absl::OkStatus();
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
        format::check_activations(activations, grid->spec(), tensor.name, /*in_layer=*/true),
        "quantize"));
    model.activations[tensor.name] = activations;
  }
  return absl::OkStatus();
}

// With a target the grids of the layers are not known before the run.
void note_plan(pass::CheckContext& context, const QuantizeSettings& settings,
               const std::vector<PlannedTensor>& plan, const pass::ModelInfo& model) {
  for (const std::string& text : fallback_texts(plan))
    context.note(base::str_cat(text, " (strict: true refuses)"));
  if (settings.target.active()) return;
  context.note(parts_text(parts_of(plan, model.config, element_bytes(model))));
}

// With a target, what stands for the plan until the grids are chosen.
absl::StatusOr<std::vector<PlannedTensor>> checked_plan(const QuantizeSettings& settings,
                                                        const pass::ModelInfo& model,
                                                        int64_t& output_bytes) {
  FRUGAL_RETURN_IF_ERROR(check_target(settings.target, settings.grid));
  if (!settings.target.active()) {
    FRUGAL_ASSIGN_OR_RETURN(std::vector<PlannedTensor> plan,
                            plan_grids(model.config, settings.choice()));
    output_bytes = planned_bytes(plan, element_bytes(model));
    return plan;
  }
  FRUGAL_ASSIGN_OR_RETURN(const TargetPlan target,
                          plan_target(model.config, settings.choice(), settings.target));
  std::vector<PlannedTensor> plan = planned_tensors(target, representative_choice(target));
  int64_t kept = 0, chosen = 0;
  for (const PlannedTensor& tensor : plan)
    kept += tensor.grid.empty() ? element_count(tensor) * element_bytes(model) : 0;
  for (const FreeMatrix& matrix : target.free) {
    for (const size_t index : matrix.tensors) chosen += plan[index].size_bytes;
  }
  FRUGAL_ASSIGN_OR_RETURN(const int64_t budget, target_budget(target, settings.target, kept));
  output_bytes = planned_bytes(plan, element_bytes(model)) - chosen + budget;
  return plan;
}

}  // namespace

absl::Status check_quantization(const QuantizeSettings& settings, pass::CheckContext& context,
                                pass::ModelInfo& model) {
  if (!model.grids.empty()) {
    return base::invalid_argument(
        "quantize: '", model.name, "' is quantized already (", model.grids.begin()->first, " is ",
        model.grids.begin()->second,
        "); take the model it was made from, so that nothing is rounded twice");
  }
  int64_t output_bytes = 0;
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<PlannedTensor> plan,
                          checked_plan(settings, model, output_bytes));
  if (std::all_of(plan.begin(), plan.end(),
                  [](const auto& tensor) { return tensor.grid.empty(); })) {
    return base::invalid_argument(
        "quantize: every matrix is kept as it is, so that nothing would be quantized; give `grid`, "
        "or overrides that leave some matrices");
  }
  FRUGAL_RETURN_IF_ERROR(check_order(settings));
  FRUGAL_RETURN_IF_ERROR(check_scale_search(settings));
  FRUGAL_RETURN_IF_ERROR(check_drift_correction(settings));
  FRUGAL_RETURN_IF_ERROR(check_sparsity(settings, plan));
  FRUGAL_RETURN_IF_ERROR(check_int8_inputs(settings));
  FRUGAL_RETURN_IF_ERROR(mark_activations(plan, settings.rounding(), model));
  FRUGAL_RETURN_IF_ERROR(follow_zeros(context, settings, plan, model));
  FRUGAL_RETURN_IF_ERROR(check_hessian(settings));
  layerwise::CalibrationPlan calibration;
  if (settings.calibrated()) {
    FRUGAL_ASSIGN_OR_RETURN(calibration, check_windows(context, "quantize", model,
                                                       settings.calibration, settings.windows));
    FRUGAL_RETURN_IF_ERROR(check_gate(settings.gate, calibration.tokens(), "quantize"));
    if (settings.gptq()) {
      FRUGAL_RETURN_IF_ERROR(warn_of_one_text(context, "quantize", settings.calibration));
      warn_of_little_text(context, plan, model.config, calibration.tokens());
    }
  }
  for (const PlannedTensor& tensor : plan) {
    if (!tensor.grid.empty()) model.grids[tensor.name] = tensor.grid;
  }
  note_plan(context, settings, plan, model);
  FRUGAL_ASSIGN_OR_RETURN(const pass::Estimate estimate,
                          forecast(settings, plan, model.config, calibration, output_bytes,
                                   at::Device(context.device())));
  context.estimate(estimate);
  model.size_bytes = output_bytes;
  return absl::OkStatus();
}

}  // namespace frugal::passes
