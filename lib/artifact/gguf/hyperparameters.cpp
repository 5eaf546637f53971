#include "artifact/gguf/hyperparameters.h"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

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
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const bool windowed = static_cast<int64_t>(i + 1) % kGgufWindowPeriod != 0;
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

}  // namespace

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
  metadata.emplace_back(str_cat(architecture, ".attention.layer_norm_rms_epsilon"),
                        static_cast<float>(config.final_norm.epsilon));
  add("rope.dimension_count", attention.head_size);
  metadata.emplace_back(str_cat(architecture, ".rope.freq_base"),
                        static_cast<float>(rope_of(config, /*windowed=*/false).theta));
  const std::optional<RopeScaling>& scaling = rope_of(config, /*windowed=*/false).scaling;
  if (scaling && scaling->kind == RopeScaling::Kind::kLinear) {
    metadata.emplace_back(str_cat(architecture, ".rope.scaling.type"), std::string("linear"));
    metadata.emplace_back(str_cat(architecture, ".rope.scaling.factor"),
                          static_cast<float>(scaling->factor));
  }
  add_windows(config, architecture, metadata);
  add("vocab_size", config.vocabulary_size);
}

absl::StatusOr<double> query_gain_factor(const ModelConfig& config) {
  const architecture::Attention& attention = config.layers.front().attention;
  const auto width = static_cast<double>(architecture::gguf_score_width(config));
  const double factor = attention.score_scale * std::sqrt(width);
  if (std::fabs(factor - 1.0) < 1e-9) return 1.0;
  if (attention.head_norm) return factor;
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
