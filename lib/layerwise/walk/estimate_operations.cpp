// Tested by: tests/layerwise/estimate_test.cpp
#include <algorithm>

#include "architecture/stages.h"
#include "layerwise/rounding/block_rounding.h"
#include "layerwise/walk/estimate.h"
#include "layerwise/walk/expert_blend.h"
#include "layerwise/walk/token_share.h"

namespace frugal::layerwise {
namespace {

// Of one feed-forward.
int64_t feed_forward_parameters(const architecture::ModelConfig& config,
                                const architecture::Layer& layer) {
  return (layer.feed_forward.gated ? 3 : 2) * config.hidden_size * layer.feed_forward.width;
}

// Weights of a layer's matrices that one token is multiplied by.
int64_t token_parameters(const architecture::ModelConfig& config,
                         const architecture::Layer& layer) {
  const int64_t heads = layer.attention.heads + layer.attention.key_value_heads;
  const int64_t router = layer.experts ? config.hidden_size * layer.experts->count : 0;
  return 2 * config.hidden_size * heads * layer.attention.head_size + router +
         share_of(layer).part * feed_forward_parameters(config, layer);
}

// Of all layers.
int64_t token_parameters(const architecture::ModelConfig& config) {
  int64_t parameters = 0;
  for (const architecture::Layer& layer : config.layers)
    parameters += token_parameters(config, layer);
  return parameters;
}

// Of a layer's second moments, drifts and factors, one for each stage.
double moment_operations(const architecture::ModelConfig& config, const architecture::Layer& layer,
                         double tokens, bool drift) {
  const auto stage = [&](int64_t width, double rows) {
    const auto d = static_cast<double>(width);
    return rows * d * d * (drift ? 3 : 1) + d * d * d;
  };
  const int64_t attention = layer.attention.heads * layer.attention.head_size;
  const int64_t experts = layer.experts ? layer.experts->count : 1;
  const double routed = share_of(layer).times(tokens);
  return stage(config.hidden_size, tokens) + stage(attention, tokens) +
         static_cast<double>(experts) *
             (stage(config.hidden_size, routed) + stage(layer.feed_forward.width, routed));
}

// Of all tokens for experts that are rare if the router spreads evenly: the layer's input once, and
// each expert's neurons.
double blend_operations(const architecture::ModelConfig& config, const architecture::Layer& layer,
                        double tokens, double prior) {
  if (!layer.experts) return 0;
  const auto routed = static_cast<int64_t>(share_of(layer).times(tokens));
  const auto c = static_cast<double>(config.hidden_size);
  const auto f = static_cast<double>(layer.feed_forward.width);
  double operations = 0;
  if (blend_share(routed, config.hidden_size, prior) > 0) operations += tokens * c * c;
  if (blend_share(routed, layer.feed_forward.width, prior) > 0)
    operations += static_cast<double>(layer.experts->count) * tokens * (4 * c * f + f * f);
  return operations;
}

}  // namespace

double estimate_attention_operations(const architecture::ModelConfig& config, int64_t tokens,
                                     int64_t window_tokens) {
  double operations = 0;
  for (const architecture::Layer& layer : config.layers) {
    const auto length = static_cast<double>(window_tokens);
    const double seen = static_cast<double>(
        std::min(window_tokens, layer.attention.window.value_or(window_tokens)));
    // The first tokens of a window see fewer: sum over i of min(i + 1, seen), a token.
    const double keys = length == 0 ? 0 : seen * (2 * length - seen + 1) / (2 * length);
    operations +=
        4 * static_cast<double>(layer.attention.query_width()) * keys * static_cast<double>(tokens);
  }
  return operations;
}

double estimate_forward_operations(const architecture::ModelConfig& config, int64_t tokens) {
  return 2 * static_cast<double>(tokens) * static_cast<double>(token_parameters(config));
}

double estimate_walk_operations(const architecture::ModelConfig& config, int64_t tokens, bool drift,
                                double expert_blend) {
  const auto t = static_cast<double>(tokens);
  const double streams = drift ? 2 : 1;
  double operations = 0;
  for (const architecture::Layer& layer : config.layers) {
    operations += streams * 2 * t * static_cast<double>(token_parameters(config, layer)) +
                  moment_operations(config, layer, t, drift) +
                  blend_operations(config, layer, t, expert_blend);
  }
  return operations;
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
  // Steps are over all weights, forwards and backwards over those that a token meets.
  int64_t weights = 0;
  for (const architecture::Layer& layer : config.layers) {
    const TokenShare share = share_of(layer);
    weights += token_parameters(config, layer) +
               (share.of - share.part) * feed_forward_parameters(config, layer);
  }
  return static_cast<double>(token_parameters(config)) * (n * 6 * batch + 2 * looks * held_out) +
         static_cast<double>(weights) * n * kPerWeight;
}

double estimate_gradient_operations(const architecture::ModelConfig& config, int64_t tokens,
                                    int64_t largest_rows) {
  const auto t = static_cast<double>(tokens);
  double operations = 3 * 2 * t * static_cast<double>(token_parameters(config));
  operations += 2 * 2 * t * static_cast<double>(config.vocabulary_size * config.hidden_size);
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    const TokenShare share = share_of(config.layers[static_cast<size_t>(layer)]);
    for (const architecture::Stage& stage : architecture::stages(config, layer)) {
      const double reached = stage.expert == architecture::kNoExpert ? t : share.times(t);
      for (const architecture::Tensor& matrix : stage.matrices) {
        const int64_t rows = matrix.shape[0];
        if (rows <= largest_rows) operations += reached * static_cast<double>(rows * rows);
      }
    }
  }
  return operations;
}

}  // namespace frugal::layerwise
