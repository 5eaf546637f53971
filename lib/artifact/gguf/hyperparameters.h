// The numbers of a model in llama.cpp's keys.
#pragma once

#include "architecture/model_config.h"
#include "artifact/gguf/gguf_model.h"

namespace frugal::artifact {

// llama.cpp's own default of what windowed layers turn by (llama-model.cpp, LLM_ARCH_GEMMA3).
inline constexpr double kGgufWindowedTheta = 10000;

// The key of the norms' epsilon behind the architecture's name.
std::string_view gguf_epsilon_key(std::string_view architecture);

// "llama.block_count", "gemma3.attention.sliding_window", ... of `architecture`, llama.cpp's name
// of the model's.
void add_hyperparameters(const architecture::ModelConfig& config, std::string_view architecture,
                         GgufMetadata& metadata);

// What the gains of query norms are multiplied by in the file: llama.cpp's graphs scale scores by 1
// / sqrt(head size), whatever the model's own scale, and a normed query takes the rest. 1 for most
// models. Errors: another scale without such norms.
absl::StatusOr<double> query_gain_factor(const architecture::ModelConfig& config);

// Refuses what llama.cpp's graph of this architecture computes otherwise and no key can say.
absl::Status check_hyperparameters(const architecture::ModelConfig& config);

}  // namespace frugal::artifact
