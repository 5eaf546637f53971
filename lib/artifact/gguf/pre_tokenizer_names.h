// Names that llama.cpp has for the patterns of byte-level tokenizers (tokenizer.ggml.pre).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::artifact {

// In llama.cpp's order (llama-vocab.cpp).
const std::vector<std::string>& pre_tokenizer_names();

// Errors: a name that llama.cpp does not have, with the nearest one.
absl::Status check_pre_tokenizer_name(std::string_view name);

}  // namespace frugal::artifact
