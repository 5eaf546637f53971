// What Qwen2 and Qwen3 share: windows over the layers behind the first ones, where the config asks
// for them.
#pragma once

#include "architecture/model_config.h"

namespace frugal::architecture {

// Sets the window of each layer: "layer_types" where it is there, else all layers from
// "max_window_layers" on; none without "use_sliding_window" or where "sliding_window" is null.
// Errors: "layer_types" with windowed layers where there are none.
absl::Status read_qwen_windows(const base::Json& json, std::string_view where, ModelConfig& config);
// Keeps "layer_types" true, where a window is in use.
void write_qwen_windows(const ModelConfig& config, base::Json& json);

}  // namespace frugal::architecture
