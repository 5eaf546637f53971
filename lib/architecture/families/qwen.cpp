#include "architecture/families/qwen.h"

#include <algorithm>

#include "architecture/config_reader.h"

namespace frugal::architecture {
namespace {

// transformers' defaults (configuration_qwen2.py).
constexpr int64_t kDefaultWindow = 4096;
constexpr int64_t kDefaultFirstWindowed = 28;

}  // namespace

absl::Status read_qwen_windows(const base::Json& json, std::string_view where,
                               ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const bool used,
                          base::json_get_or<bool>(json, "use_sliding_window", false, where));
  FRUGAL_ASSIGN_OR_RETURN(const auto types, read_layer_types(json, where, config.layers.size()));
  // An explicit null says "none", an absent key means the default.
  const bool none = json.contains("sliding_window") && json["sliding_window"].is_null();
  if (!used || none) {
    if (types && std::find(types->begin(), types->end(), true) != types->end()) {
      return base::invalid_argument(
          where, ": 'layer_types' has windowed layers, but ",
          used ? "'sliding_window' is null" : "'use_sliding_window' is not true");
    }
    return absl::OkStatus();
  }
  FRUGAL_ASSIGN_OR_RETURN(const int64_t window,
                          positive_or(json, "sliding_window", kDefaultWindow, kMaxContext, where));
  FRUGAL_ASSIGN_OR_RETURN(
      const int64_t first,
      base::json_get_or<int64_t>(json, "max_window_layers", kDefaultFirstWindowed, where));
  if (window >= config.context_length) return absl::OkStatus();
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const bool windowed = types ? (*types)[i] : static_cast<int64_t>(i) >= first;
    if (windowed) config.layers[i].attention.window = window;
  }
  return absl::OkStatus();
}

void write_qwen_windows(const ModelConfig& config, base::Json& json) {
  const bool windowed = std::any_of(config.layers.begin(), config.layers.end(),
                                    [](const Layer& layer) { return layer.attention.window; });
  if (windowed || json.contains("layer_types")) json["layer_types"] = layer_types(config);
}

}  // namespace frugal::architecture
