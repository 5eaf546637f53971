// What Gemma 2 and Gemma 3 share (Gemma Team 2024, 2025): one-plus norms, four of them in a layer,
// a scaled embedding, tied heads, GELU, a score scale of its own.
#pragma once

#include <span>

#include "architecture/config_reader.h"
#include "architecture/family.h"

namespace frugal::architecture {

// transformers' defaults where the keys are absent (configuration_gemma2.py, _gemma3.py).
inline constexpr Defaults kGemmaDefaults = {.key_value_heads = 4,
                                            .head_size = 256,
                                            .tied_embeddings = true,
                                            .activation_key = "hidden_activation",
                                            .activation = "gelu_pytorch_tanh"};
inline constexpr int64_t kGemmaDefaultWindow = 4096;

std::span<const RoleName> gemma_names();
// Sizes, norms, scales and biases; windows and rotations are the caller's.
absl::Status describe_gemma(const base::Json& json, std::string_view where,
                            const Defaults& defaults, ModelConfig& config);

}  // namespace frugal::architecture
