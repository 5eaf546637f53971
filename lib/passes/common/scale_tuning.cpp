#include "passes/common/scale_tuning.h"

#include <algorithm>
#include <string>
#include <utility>

namespace frugal::passes {
namespace {

int64_t windows_per_step(const TuningDemand& demand) {
  return (demand.loop.tokens_per_step + demand.window_tokens - 1) / demand.window_tokens;
}

// Windows of the tuning text that come up: those of the steps, and those its divergence is measured
// on.
int64_t windows_seen(const TuningDemand& demand) {
  const int64_t measured = std::min(demand.validation_windows, demand.windows);
  return std::min(demand.windows, std::max(measured, demand.loop.steps * windows_per_step(demand)));
}

// Floats that a token leaves in one layer: what its matrices read and write, and attention's
// rotated and expanded tensors.
int64_t layer_floats(const architecture::ModelConfig& config) {
  const int64_t heads =
      config.layers.front().attention.heads * config.layers.front().attention.head_size;
  const int64_t shared =
      config.layers.front().attention.key_value_heads * config.layers.front().attention.head_size;
  const int64_t read = 2 * config.hidden_size + heads + config.layers.front().feed_forward.width;
  const int64_t written =
      2 * config.hidden_size + heads + 2 * shared + 2 * config.layers.front().feed_forward.width;
  return read + written + 4 * heads + shared;
}

}  // namespace

int64_t tuning_memory(const architecture::ModelConfig& config, const TuningDemand& demand) {
  const bool trains = demand.loop.steps > 0;
  const int64_t parameters = config.parameter_count();
  const int64_t models = 4 * parameters + 4 * (demand.own_student ? parameters : demand.weights);
  const int64_t copies = 2 * demand.code_bytes;  // as they came, and as they are
  const int64_t state = demand.window_tokens * config.hidden_size * 4;
  int64_t states = 0;  // of a text that does not fit as a whole none is kept
  if (state * demand.windows <= demand.loop.cache_bytes) states += state * windows_seen(demand);
  if (state * demand.validation_windows <= demand.loop.cache_bytes)
    states += state * demand.validation_windows;
  // Per group of 32 weights: factor, gradient, two moments, the best so far; a gradient per window.
  const int64_t groups = demand.weights / 32;
  const int64_t factors = 4 * groups * (trains ? 5 + windows_per_step(demand) : 1);
  const int64_t workers = std::min(
      demand.threads, trains ? std::max(windows_per_step(demand), demand.validation_windows)
                             : demand.validation_windows);
  const int64_t chunk = std::min(demand.loop.chunk_tokens, demand.window_tokens);
  const int64_t logits = 4 * chunk * config.vocabulary_size * (trains ? 6 : 5);
  const int64_t layers = trains ? config.layer_count() : 1;
  const int64_t window = 4 * demand.window_tokens * layer_floats(config) * layers;
  // Those of all matrices wait for the end of a backward, where they are summed over groups.
  const int64_t gradients = trains ? 4 * demand.weights : 0;
  return models + copies + states + factors + workers * (window + logits + gradients);
}

double tuning_operations(const architecture::ModelConfig& config, const TuningDemand& demand) {
  const auto parameters = static_cast<double>(config.parameter_count());
  const auto tokens = [&](int64_t windows) {
    return static_cast<double>(windows * demand.window_tokens);
  };
  const int64_t measured = std::min(demand.validation_windows, demand.windows);
  const int64_t steps = demand.loop.steps;
  const int64_t validations = 1 + std::min(demand.loop.validations, steps);
  // The original's forward once a window, the student's at 2 and with its gradient at 6.
  const double original = 2 * tokens(windows_seen(demand) + demand.validation_windows);
  const double student = 6 * tokens(steps * windows_per_step(demand)) +
                         2 * tokens(demand.validation_windows * validations + 2 * measured);
  return parameters * (original + student);
}

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
