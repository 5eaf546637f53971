// The tokenizer of a GGUF file as files of a Hugging Face folder: the other direction of
// gguf_tokenizer.h.
#pragma once

#include "artifact/gguf/gguf_values.h"
#include "base/status.h"
#include "text/definition.h"

namespace frugal::artifact {

struct GgufTokenizer {
  text::TokenizerDefinition definition;  // of tokenizer.json
  text::SpecialTokens special;           // of tokenizer_config.json
};

// The kinds "gpt2" (byte-level BPE with the pre-tokenizer that "tokenizer.ggml.pre" names) and
// "llama" (SentencePiece: scores become merges). Control pieces and user-defined ones become added
// tokens, "[PADn]" of type 5 holes. `rows`: of the embedding. Errors: another kind, a pre-tokenizer
// that is not known, arrays that are missing or of another length than the pieces or the embedding,
// types, scores and ids that are none; each names file and key.
absl::StatusOr<GgufTokenizer> read_gguf_tokenizer(const GgufValues& values, int64_t rows);

}  // namespace frugal::artifact
