// The file forms that a tokenizer comes in. Each reader yields the parts of a tokenizer;
// load_tokenizer chooses.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/status.h"
#include "text/definition.h"
#include "text/special_tokens.h"

namespace frugal::text {

// GPT-2's vocab.json and merges.txt, with the pre-tokenizer of `tokens.tokenizer_class` or
// `tokens.model_type`. Errors: neither of these is known.
absl::StatusOr<TokenizerDefinition> read_gpt2_files(const std::filesystem::path& vocabulary,
                                                    const std::filesystem::path& merges,
                                                    const FolderTokens& tokens);

// tiktoken ranks ("base64 rank" lines). The number of ranks says which published vocabulary it is,
// and with it the pattern and the reserved tokens. Errors: damaged lines, an unknown vocabulary.
absl::StatusOr<TokenizerDefinition> read_tiktoken(std::string_view content, std::string_view where);

// Whether `content` looks like tiktoken ranks rather than a SentencePiece protobuf.
bool looks_like_tiktoken(std::string_view content);

// SentencePiece ModelProto (BPE, characters, unigram). `tokens`: what the folder says beside it.
absl::StatusOr<TokenizerParts> read_sentencepiece_model(std::string_view content,
                                                        const FolderTokens& tokens,
                                                        std::string_view where);

// llama2.c's tokenizer.bin: u32 longest piece, then by id f32 score, u32 length, bytes.
absl::StatusOr<TokenizerParts> read_llama2c_tokenizer(std::string_view content,
                                                      std::string_view where);

}  // namespace frugal::text
