// A tokenizer as GGUF metadata: pieces, merges, the pattern's name, ids that begin and end texts.
// Keys as in GGUF's specification (ggml/docs/gguf.md), "tokenizer.ggml.*".
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "architecture/model_config.h"
#include "artifact/making.h"
#include "base/status.h"
#include "format/gguf.h"
#include "text/tokenizer.h"

namespace frugal::artifact {

using GgufMetadata = std::vector<std::pair<std::string, format::GgufValue>>;

struct GgufOptions {
  std::string pre_tokenizer = {};  // llama.cpp's name of the pattern; empty: found by the pattern
  std::vector<int64_t> eos = {};   // ids that end texts, in place of those the model names
  int64_t max_part_bytes = std::numeric_limits<int64_t>::max();  // GgufModelWriter
  Making making = {};
};

// Adds the tokenizer's keys. Pieces are padded to the rows of the embedding. Errors: more pieces
// than rows, the same piece twice, a pattern that llama.cpp has no name for, ids beyond the
// vocabulary; each names what it is about.
absl::Status add_tokenizer(const architecture::ModelConfig& config,
                           const text::Tokenizer& tokenizer, const GgufOptions& options,
                           GgufMetadata& metadata);

// What the file will not say, one sentence each: ids that end texts and that llama.cpp will not
// stop at.
std::vector<std::string> gguf_losses(const architecture::ModelConfig& config,
                                     const text::Tokenizer& tokenizer,
                                     const GgufOptions& options = {});

}  // namespace frugal::artifact
