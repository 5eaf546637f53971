// Rotary position embedding in Hugging Face's half-split layout: channel i of a head turns with
// channel i + D/2.
#pragma once

#include <ATen/core/Tensor.h>

#include "architecture/model_config.h"

namespace frugal::model {

// Angle per position of each channel pair, fp32 [R/2] on the CPU for the R channels that turn:
// theta^(-2i/R), slowed as the config has it. `beyond`: for sequences longer than the first
// context, which "longrope" alone tells apart. Computed in fp32 in the order of transformers 5
// (modeling_rope_utils.py), so that tables agree at far positions, too.
at::Tensor rotary_frequencies(const architecture::Rope& rope, int64_t head_size,
                              bool beyond = false);
// Whether frequencies depend on the length of the sequence.
bool depends_on_length(const architecture::Rope& rope);
// What cosines and sines are multiplied by (yarn, longrope).
double attention_factor(const architecture::Rope& rope);

// Cosines and sines fp32 [B, 1, T, R] of `positions` [B, T] int64, times `factor`; frequencies
// [R/2], or of each token [B, T, R/2].
struct RotaryTables {
  at::Tensor cosine, sine;
};
RotaryTables rotary_tables(const at::Tensor& frequencies, const at::Tensor& positions,
                           double factor = 1.0);

// x [B, heads, T, D], its first R channels turned by the tables, in x's type (computed in fp32).
at::Tensor rotate(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine);

}  // namespace frugal::model
