// What every origin of a tokenizer (tokenizer.json, vocab.json + merges.txt, tiktoken ranks, our
// trainer) is brought to: the tables of a BPE or unigram model, and the other components as
// tokenizer.json spells them. One place builds tokenizers from it.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/chat_templates.h"
#include "text/pipeline_tokenizer.h"

namespace frugal::text {

struct TokenizerDefinition {
  enum class Model { kBpe, kUnigram };
  Model model = Model::kBpe;
  std::vector<std::string> pieces;                          // the model's, by id; empty = hole
  std::vector<std::pair<std::string, std::string>> merges;  // by rank; BPE only
  std::vector<double> scores;                               // by id; unigram only
  std::string unknown_piece;                                // empty: none
  bool byte_fallback = false;
  bool fuse_unknown = false;
  bool ignore_merges = false;
  std::vector<AddedToken> added;
  base::Json normalizer = nullptr;
  base::Json pre_tokenizer = nullptr;
  base::Json post_processor = nullptr;
  base::Json decoder = nullptr;
};

// Which ids a tokenizer names, from tokenizer_config.json and its kin.
struct SpecialTokens {
  std::optional<std::string> bos, eos, unknown, padding;  // by content
  std::optional<bool> add_bos, add_eos;                   // SentencePiece folders only
  ChatTemplates chat;
};

// Errors: a component that is not supported (named); pieces, merges and ids that do not fit each
// other.
absl::StatusOr<TokenizerParts> build_parts(TokenizerDefinition definition, std::string_view where);

// Sets bos, eos, … of `parts` by their content. Errors: a BOS or EOS that the vocabulary lacks.
absl::Status apply_special_tokens(const SpecialTokens& special, std::string_view where,
                                  TokenizerParts& parts);

// Ids that `add_special` puts around a text. Errors: a component that is not supported.
absl::Status parse_post_processor(const base::Json& json, int64_t vocabulary_size,
                                  std::vector<TokenId>& prefix, std::vector<TokenId>& suffix);

// Places added tokens into `vocabulary` (pieces and types). Errors: two tokens with one id, ids far
// outside.
absl::Status place_added_tokens(const std::vector<AddedToken>& added, std::string_view where,
                                Vocabulary& vocabulary);

// Components that several origins share.
base::Json byte_level_pre_tokenizer(
    std::string_view pattern);  // Split(pattern) + ByteLevel without its own
base::Json byte_level_decoder();
// TemplateProcessing: ids in front of a text and behind it.
struct NamedToken {
  std::string content;
  TokenId id = -1;
};
base::Json affix_template(const std::optional<NamedToken>& front,
                          const std::optional<NamedToken>& behind);
base::Json bos_template(std::string_view token, TokenId id);  // token in front

// Writes tokenizer.json and tokenizer_config.json, which Hugging Face tokenizers and
// onnxruntime-genai load.
absl::Status save_definition(const TokenizerDefinition& definition, const SpecialTokens& special,
                             const std::filesystem::path& folder);

}  // namespace frugal::text
