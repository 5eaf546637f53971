#include "passes/common/scale_tuning.h"

#include <string>
#include <utility>

namespace frugal::passes {

void report_tuning(pass::RunContext& context, const train::ScaleTuningResult& result) {
  const auto add = [&](std::string name, double value, std::string unit, std::string help) {
    context.statistic({.name = std::move(name),
                       .value = value,
                       .unit = std::move(unit),
                       .help = std::move(help)});
  };
  add("kl_before", result.validation.before, "nats/token",
      "KL(original || quantized) on held-out windows, as it came.");
  add("kl_after", result.validation.after, "nats/token",
      "The same with the scales kept; a little flattered, as these windows chose the step.");
  add("training_kl_before", result.training.before, "nats/token",
      "KL on windows of the tuning text, as it came.");
  add("training_kl_after", result.training.after, "nats/token", "The same with the scales kept.");
  add("best_step", static_cast<double>(result.best_step), "",
      "Step whose scales were kept; 0 = the scales as they came.");
  add("steps", static_cast<double>(result.steps), "", "Steps in all.");
  add("tokens", static_cast<double>(result.tokens), "tokens", "Tokens seen in training.");
  add("trained_parameters", static_cast<double>(result.trained_parameters), "",
      "Factors of scales and offsets.");
  for (const train::TuningSample& sample : result.curve) {
    context.row("tuning", {{"step", sample.step}, {"kl", sample.divergence}});
  }
  for (const train::TuningSample& sample : result.validations) {
    context.row("validation", {{"step", sample.step}, {"kl", sample.divergence}});
  }
}

}  // namespace frugal::passes
