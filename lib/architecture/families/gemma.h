// What Gemma 2 and Gemma 3 share (Gemma Team 2024, 2025): one-plus norms, four of them in a layer,
// a scaled embedding, tied heads, GELU, a score scale of its own.
#pragma once

#include <span>

#include "architecture/config_reader.h"
#include "architecture/family.h"

namespace frugal::architecture {

std::span<const RoleName> gemma_names();
// Sizes, norms, scales and biases; windows and rotations are the caller's.
absl::Status describe_gemma(const base::Json& json, std::string_view where,
                            const Defaults& defaults, ModelConfig& config);

}  // namespace frugal::architecture
