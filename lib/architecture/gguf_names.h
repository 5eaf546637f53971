// How llama.cpp calls tensors and architectures, in both directions: one table for export and
// import.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "architecture/model_config.h"
#include "architecture/tensors.h"

namespace frugal::architecture {

// "blk.3.attn_q.weight", "token_embd.weight".
std::string gguf_tensor_name(Role role, int64_t layer = kNoLayer);
// The name of the tensor that holds it in a file of this model: the same, or that of a fused one,
// which holds the rows of several matrices below each other, in the order of tensors().
std::string gguf_stored_name(const ModelConfig& config, Role role, int64_t layer = kNoLayer);
// The way back from the name of a single one; absent for a name that no role has.
std::optional<Place> gguf_place(std::string_view gguf_name);

// `general.architecture`, which also begins the keys of its numbers. Errors: llama.cpp has no such
// architecture, or computes this model otherwise (windows, activations, biases): named.
absl::StatusOr<std::string_view> gguf_architecture(const ModelConfig& config);

// llama.cpp's graph of the architecture has windows in all layers but each so many-th, unless the
// file says otherwise; 0: it has none.
int64_t gguf_window_period(std::string_view gguf_architecture);

// Whether a file of the architecture says which layers have windows, which then turn by a theta of
// their own.
bool gguf_says_windows(std::string_view gguf_architecture);

// Whether the architecture's norms take the mean away (LayerNorm), which have a key of their own
// for the epsilon.
bool gguf_centers_norms(std::string_view gguf_architecture);

// llama.cpp's graphs scale attention scores by 1 / sqrt(width), whatever the model's own scale: of
// a head, but of a head's share of the residual stream in the largest Gemma 3.
int64_t gguf_score_width(const ModelConfig& config);

// How many heads' rows of this tensor lie interleaved in the file (neighboring channels turn
// together there); 0: as they are.
int64_t gguf_interleaved_heads(const ModelConfig& config, Role role, int64_t layer);

}  // namespace frugal::architecture
