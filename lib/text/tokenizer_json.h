// tokenizer.json of Hugging Face tokenizers with a BPE or unigram model.
//
//   {"added_tokens": [{"id", "content", "single_word", "lstrip", "rstrip", "normalized",
//   "special"}…],
//    "normalizer", "pre_tokenizer", "post_processor", "decoder": component or null,
//    "model": {"type": "BPE", "vocab": {piece: id}, "merges": ["a b"…] or [["a","b"]…],
//    "unk_token", "fuse_unk",
//              "byte_fallback", "ignore_merges"}
//        or: {"type": "Unigram", "vocab": [[piece, score]…], "unk_id", "byte_fallback"}}
//
// "truncation" and "padding" are not read: how long a text may be is for each caller to say.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "text/definition.h"

namespace frugal::text {

// Errors: what is missing, malformed or not supported, with `where` in front.
absl::StatusOr<TokenizerDefinition> parse_tokenizer_json(const base::Json& root,
                                                         std::string_view where);

// Pieces by id from {piece: id}. Errors: ids negative, twice, or far beyond the number of pieces.
absl::StatusOr<std::vector<std::string>> parse_vocabulary(const base::Json& vocabulary,
                                                          std::string_view where);

// One added token; `id` from the caller where the object has none.
absl::StatusOr<AddedToken> parse_added_token(const base::Json& json, std::optional<TokenId> id,
                                             std::string_view where);

}  // namespace frugal::text
