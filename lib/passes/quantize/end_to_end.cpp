#include "passes/quantize/end_to_end.h"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/text.h"
#include "model/decoder.h"
#include "passes/common/scale_tuning.h"
#include "passes/quantize/divergence.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::passes {
namespace {

constexpr int64_t kFewSteps = 32;

// Fresh windows, and where the text does not fill as many as asked for, those of the statistics
// besides: text seen twice tunes less well than fresh text, but better than none.
text::Windows tuning_text(pass::RunContext& context, const QuantizeSettings& settings,
                          const layerwise::CalibrationSplit& split) {
  if (split.fresh.count >= settings.tune_windows) return split.fresh;
  context.warn(base::str_cat("tuning: the text has ", split.fresh.count,
                             " windows beyond those of "
                             "the statistics, ",
                             settings.tune_windows,
                             " were asked for; it goes on with those the statistics have seen"));
  return layerwise::joined(split.fresh, split.seen);
}

absl::Status check_divergence(double divergence, double limit) {
  if (limit == 0 || divergence <= limit) return absl::OkStatus();  // false for NaN
  return base::failed("the quantized model diverges from the original by ", divergence,
                      " nats per token on held-out windows, max_kl is ", limit,
                      "; take a finer grid, recipe: best, or more calibration text");
}

}  // namespace

absl::Status tune_end_to_end(pass::RunContext& context, const QuantizeSettings& settings,
                             const layerwise::CalibrationSplit& split, const at::Device& device,
                             train::QuantizedMatrices& matrices) {
  if (!settings.tunes() && !settings.measures_floats()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder original,
                          model::Decoder::load(*context.input(), {.device = device}));
  model::Decoder student = original;  // shares what is not on a grid
  train::ScaleTuningOptions loop;
  loop.steps = settings.tunes() ? settings.tune_steps : 0;
  loop.learning_rate = settings.tune_learning_rate;
  if (loop.steps < kFewSteps) loop.validations = 2;  // five would take as long as the steps
  loop.seed = context.seed();
  loop.precision = settings.windows.products();
  base::Progress progress(base::str_cat("tune ", context.input_name()), "steps", loop.steps);
  const text::Windows text = settings.tunes() ? tuning_text(context, settings, split) : split.seen;
  FRUGAL_ASSIGN_OR_RETURN(const train::ScaleTuningResult result,
                          train::tune_scales(original, student, matrices, text, split.held_out,
                                             loop, context.resume_folder(), &progress));
  report_tuning(context, result);
  return check_divergence(result.validation.after, settings.max_kl);
}

absl::Status check_integer_model(pass::RunContext& context, const QuantizeSettings& settings,
                                 const text::Windows& held_out, const at::Device& device) {
  if (!settings.measures_integers()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint output,
                          format::Checkpoint::open(context.output_folder()));
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder original,
                          model::Decoder::load(*context.input(), {.device = device}));
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder student,
                          model::Decoder::load(output, {.device = device}));
  std::vector<at::Tensor> original_hidden;
  FRUGAL_ASSIGN_OR_RETURN(const double divergence, tensor::guarded("measuring the divergence", [&] {
                            return mean_divergence(original, student, held_out, original_hidden);
                          }));
  context.statistic({.name = "kl",
                     .value = std::isfinite(divergence) ? std::optional(divergence) : std::nullopt,
                     .unit = "nats/token",
                     .help = "KL(original || quantized) on held-out windows, weights and inputs "
                             "rounded."});
  return check_divergence(divergence, settings.max_kl);
}

}  // namespace frugal::passes
