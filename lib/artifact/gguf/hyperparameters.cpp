#include "artifact/gguf/hyperparameters.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "architecture/family.h"
#include "architecture/gguf_names.h"
#include "base/text.h"

namespace frugal::artifact {
namespace {

using architecture::Layer;
using architecture::ModelConfig;
using architecture::RopeScaling;
using base::str_cat;
using format::GgufValue;

std::optional<int64_t> window_of(const ModelConfig& config) {
  for (const Layer& layer : config.layers) {
    if (layer.attention.window) return layer.attention.window;
  }
  return std::nullopt;
}

bool has_usual_pattern(const ModelConfig& config) {
  const int64_t period = architecture::family_of(config).graph.window_period;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const bool windowed = static_cast<int64_t>(i + 1) % period != 0;
    if (config.layers[i].attention.window.has_value() != windowed) return false;
  }
  return true;
}

// The rope of the layers that are windowed, or of those that are not; of the first layer where
// there are none.
const architecture::Rope& rope_of(const ModelConfig& config, bool windowed) {
  for (const Layer& layer : config.layers) {
    if (layer.attention.window.has_value() == windowed) return layer.attention.rope;
  }
  return config.layers.front().attention.rope;
}

void add_windows(const ModelConfig& config, std::string_view architecture, GgufMetadata& metadata) {
  const std::optional<int64_t> window = window_of(config);
  if (!window) return;
  metadata.emplace_back(str_cat(architecture, ".attention.sliding_window"),
                        static_cast<uint32_t>(*window));
  if (!has_usual_pattern(config)) {
    std::vector<bool> windowed;
    for (const Layer& layer : config.layers) windowed.push_back(layer.attention.window.has_value());
    metadata.emplace_back(str_cat(architecture, ".attention.sliding_window_pattern"),
                          std::move(windowed));
  }
  const double theta = rope_of(config, /*windowed=*/true).theta;
  if (theta != kGgufWindowedTheta) {
    metadata.emplace_back(str_cat(architecture, ".rope.freq_base_swa"), static_cast<float>(theta));
  }
}

void add_rope(const ModelConfig& config, std::string_view architecture, GgufMetadata& metadata) {
  const architecture::Rope& rope = rope_of(config, /*windowed=*/false);
  const auto number = [&](std::string_view key, double value) {
    metadata.emplace_back(str_cat(architecture, ".rope.", key), static_cast<float>(value));
  };
  const auto count = [&](std::string_view key, int64_t value) {
    metadata.emplace_back(str_cat(architecture, ".rope.", key), static_cast<uint32_t>(value));
  };
  const int64_t size = config.layers.front().attention.head_size;
  count("dimension_count", rope.channels == 0 ? size : rope.turned(size));
  number("freq_base", rope.theta);
  if (!rope.scaling) return;
  const RopeScaling& scaling = *rope.scaling;
  switch (scaling.kind) {
    case RopeScaling::Kind::kLlama3:  // factors of frequencies are a tensor of the file
      return;
    case RopeScaling::Kind::kLinear:
      metadata.emplace_back(str_cat(architecture, ".rope.scaling.type"), std::string("linear"));
      number("scaling.factor", scaling.factor);
      return;
    case RopeScaling::Kind::kYarn:
      metadata.emplace_back(str_cat(architecture, ".rope.scaling.type"), std::string("yarn"));
      number("scaling.factor", scaling.factor);
      count("scaling.original_context_length", scaling.original_max_position_embeddings);
      number("scaling.yarn_beta_fast", scaling.beta_fast);
      number("scaling.yarn_beta_slow", scaling.beta_slow);
      return;
    case RopeScaling::Kind::kLongRope:  // factors are tensors of the file
      number("scaling.attn_factor", scaling.attention_factor);
      count("scaling.original_context_length", scaling.original_max_position_embeddings);
      return;
  }
}

void add_experts(const ModelConfig& config, std::string_view architecture, GgufMetadata& metadata) {
  const Layer& layer = config.layers.front();
  if (!layer.experts) return;
  const auto add = [&](std::string_view key, int64_t value) {
    metadata.emplace_back(str_cat(architecture, ".", key), static_cast<uint32_t>(value));
  };
  add("expert_count", layer.experts->count);
  add("expert_used_count", layer.experts->per_token);
  add("expert_feed_forward_length", layer.feed_forward.width);
}

// What bounds and multiplies, where llama.cpp asks the file for it.
void add_scales(const ModelConfig& config, std::string_view architecture, GgufMetadata& metadata) {
  const Layer& layer = config.layers.front();
  const auto add = [&](std::string_view key, double value) {
    metadata.emplace_back(str_cat(architecture, ".", key), static_cast<float>(value));
  };
  if (layer.attention.score_cap) add("attn_logit_softcapping", *layer.attention.score_cap);
  if (config.logit_rule.cap) add("final_logit_softcapping", *config.logit_rule.cap);
  if (!architecture::family_of(config).graph.multipliers) return;
  add("attention.scale", layer.attention.score_scale);
  add("embedding_scale", config.embedding_scale);
  add("residual_scale", layer.residual_multiplier);
  add("logit_scale", 1.0 / config.logit_rule.scale);
}

// llama.cpp computes the factor of cosines and sines by the paper's rule.
absl::Status check_yarn(const RopeScaling& scaling) {
  const double usual = scaling.factor <= 1.0 ? 1.0 : 0.1 * std::log(scaling.factor) + 1.0;
  if (std::fabs(scaling.attention_factor - usual) > 1e-6) {
    return base::unimplemented("llama.cpp multiplies rotary tables of yarn by ", usual,
                               ", this model by ", scaling.attention_factor, " (attention_factor)");
  }
  if (!scaling.truncate) {
    return base::unimplemented(
        "llama.cpp rounds the bounds of yarn to whole channels; this model "
        "does not (truncate: false)");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view gguf_epsilon_key(std::string_view architecture) {
  return architecture::gguf_centers_norms(architecture) ? "attention.layer_norm_epsilon"
                                                        : "attention.layer_norm_rms_epsilon";
}

void add_hyperparameters(const ModelConfig& config, std::string_view architecture,
                         GgufMetadata& metadata) {
  const architecture::Attention& attention = config.layers.front().attention;
  const auto add = [&](std::string_view key, int64_t value) {
    metadata.emplace_back(str_cat(architecture, ".", key), static_cast<uint32_t>(value));
  };
  add("block_count", config.layer_count());
  add("context_length", config.context_length);
  add("embedding_length", config.hidden_size);
  add("feed_forward_length", config.layers.front().feed_forward.width);
  add("attention.head_count", attention.heads);
  add("attention.head_count_kv", attention.key_value_heads);
  add("attention.key_length", attention.head_size);
  add("attention.value_length", attention.head_size);
  metadata.emplace_back(str_cat(architecture, ".", gguf_epsilon_key(architecture)),
                        static_cast<float>(config.final_norm.epsilon));
  if (!config.learned_positions) add_rope(config, architecture, metadata);
  add_experts(config, architecture, metadata);
  add_scales(config, architecture, metadata);
  add_windows(config, architecture, metadata);
  add("vocab_size", config.vocabulary_size);
}

absl::StatusOr<double> query_gain_factor(const ModelConfig& config) {
  const architecture::Attention& attention = config.layers.front().attention;
  if (architecture::family_of(config).graph.multipliers) return 1.0;  // the file says the scale
  const auto width = static_cast<double>(architecture::gguf_score_width(config));
  const double factor = attention.score_scale * std::sqrt(width);
  if (std::fabs(factor - 1.0) < 1e-9) return 1.0;
  if (attention.query_key_norm) return factor;
  return base::unimplemented("llama.cpp scales attention scores by 1 / sqrt(", width,
                             "), this model by ", attention.score_scale,
                             ", and it has no norm of queries that could take the rest");
}

absl::Status check_hyperparameters(const ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string_view architecture,
                          architecture::gguf_architecture(config));
  FRUGAL_RETURN_IF_ERROR(query_gain_factor(config).status());
  const std::optional<int64_t> window = window_of(config);
  for (const Layer& layer : config.layers) {
    const auto& scaling = layer.attention.rope.scaling;
    if (scaling && scaling->kind == RopeScaling::Kind::kYarn)
      FRUGAL_RETURN_IF_ERROR(check_yarn(*scaling));
    if (scaling && scaling->kind == RopeScaling::Kind::kLlama3 && architecture != "llama") {
      return base::unimplemented("llama.cpp's ", architecture,
                                 " has no frequency factors for Llama 3's rotary scaling");
    }
    if (layer.attention.window && layer.attention.window != window) {
      return base::unimplemented("llama.cpp has one window for all layers, this model ", *window,
                                 " and ", *layer.attention.window);
    }
  }
  return absl::OkStatus();
}

}  // namespace frugal::artifact
