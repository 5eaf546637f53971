// Rotary position embedding in Hugging Face's half-split layout: channel i of a head turns with
// channel i + D/2.
#pragma once

#include <ATen/core/Tensor.h>

#include "architecture/model_config.h"

namespace frugal::model {

// Angle per position of each channel pair, fp32 [D/2] on the CPU: theta^(-2i/D), stretched by
// Llama 3.1's rule where the config has one. Computed in fp32 in the order of transformers 5
// (modeling_rope_utils.py), so that tables agree at far positions, too.
at::Tensor rotary_frequencies(const architecture::Rope& rope, int64_t head_size);

// Cosines and sines fp32 [B, 1, T, D] of `positions` [B, T] int64.
struct RotaryTables {
  at::Tensor cosine, sine;
};
RotaryTables rotary_tables(const at::Tensor& frequencies, const at::Tensor& positions);

// x [B, heads, T, D] turned by the tables, in x's type (computed in fp32).
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine);

}  // namespace frugal::model
