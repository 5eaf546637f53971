#include "artifact/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "artifact/gguf/pre_tokenizer_names.h"
#include "artifact/special_ids.h"
#include "base/text.h"

namespace frugal::artifact {
namespace {

using base::invalid_argument;
using base::str_cat;

// Piece type 5 ("unused") fills embedding rows that no piece belongs to: llama.cpp wants as many
// pieces as rows.
void add_padding(text::Vocabulary& vocabulary, int64_t rows) {
  for (int64_t id = static_cast<int64_t>(vocabulary.pieces.size()); id < rows; ++id) {
    vocabulary.pieces.push_back(str_cat("[PAD", id, "]"));
    vocabulary.types.push_back(text::PieceType::kUnused);
    if (vocabulary.kind == text::Vocabulary::Kind::kSentencePieceBpe)
      vocabulary.scores.push_back(-1000.0f);
  }
}

// llama.cpp looks for user-defined pieces in the text as it is, in front of the step that writes
// "▁" for spaces: its converter spells Gemma's runs of "▁" as runs of spaces, too.
void unmark_user_defined(text::Vocabulary& vocabulary) {
  constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581 "▁"
  if (vocabulary.kind != text::Vocabulary::Kind::kSentencePieceBpe) return;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.types[id] != text::PieceType::kUserDefined) continue;
    std::string spelled;
    std::string_view rest = vocabulary.pieces[id];
    for (size_t at = rest.find(kSpaceMark); at != rest.npos; at = rest.find(kSpaceMark)) {
      spelled += rest.substr(0, at);
      spelled += ' ';
      rest.remove_prefix(at + kSpaceMark.size());
    }
    spelled += rest;
    vocabulary.pieces[id] = std::move(spelled);
  }
}

absl::Status check_kind(const text::Vocabulary& vocabulary) {
  if (vocabulary.kind != text::Vocabulary::Kind::kUnigram) return absl::OkStatus();
  return base::unimplemented(
      "cannot write ", vocabulary.origin.empty() ? "this tokenizer" : vocabulary.origin,
      " to GGUF: llama.cpp has unigram tokenizers for T5 only; written are byte-level BPE and "
      "SentencePiece's BPE");
}

absl::Status check_pieces(const text::Vocabulary& vocabulary) {
  std::set<std::string_view> seen;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (!seen.insert(vocabulary.pieces[id]).second) {
      const auto first =
          std::find(vocabulary.pieces.begin(), vocabulary.pieces.end(), vocabulary.pieces[id]);
      return invalid_argument("cannot write ",
                              vocabulary.origin.empty() ? "this tokenizer" : vocabulary.origin,
                              " to GGUF: piece '", vocabulary.pieces[id], "' occurs twice (ids ",
                              first - vocabulary.pieces.begin(), " and ", id,
                              "), and llama.cpp aborts on that; rename or remove one of them");
    }
  }
  return absl::OkStatus();
}

template <typename Id>
void add_id(GgufMetadata& metadata, std::string_view key, const std::optional<Id>& id) {
  if (id.has_value() && *id >= 0)
    metadata.emplace_back(str_cat("tokenizer.ggml.", key), static_cast<uint32_t>(*id));
}

// llama.cpp's name of the pattern that cuts texts before merging.
absl::StatusOr<std::string> pre_tokenizer_of(const text::Vocabulary& vocabulary,
                                             const GgufOptions& options) {
  if (vocabulary.kind != text::Vocabulary::Kind::kByteLevelBpe) {
    if (options.pre_tokenizer.empty()) return std::string("default");
    return invalid_argument("pre_tokenizer = ", options.pre_tokenizer,
                            " names the pattern of a byte-level tokenizer, and this one is "
                            "SentencePiece's; leave it out");
  }
  if (!options.pre_tokenizer.empty()) {
    FRUGAL_RETURN_IF_ERROR(check_pre_tokenizer_name(options.pre_tokenizer));
    return options.pre_tokenizer;
  }
  if (!vocabulary.pre_tokenizer.empty()) return vocabulary.pre_tokenizer;
  constexpr size_t kShown = 600;
  const std::string& pattern = vocabulary.unnamed_pattern;
  return invalid_argument(
      "cannot write ", vocabulary.origin.empty() ? "this tokenizer" : vocabulary.origin,
      " to GGUF: llama.cpp has no name for its pre-tokenizer ", pattern.substr(0, kShown),
      pattern.size() > kShown ? "…" : "", "; known by their pattern are ",
      base::join(text::named_pre_tokenizers(), ", "),
      ". Where llama.cpp supports this model, its name for the pattern can be given: "
      "pre_tokenizer (one of ",
      base::join(pre_tokenizer_names(), ", "), ")");
}

}  // namespace

absl::Status add_tokenizer(const architecture::ModelConfig& config,
                           const text::Tokenizer& tokenizer, const GgufOptions& options,
                           GgufMetadata& metadata) {
  FRUGAL_RETURN_IF_ERROR(text::check_fits(tokenizer, config.vocabulary_size, "GGUF export"));
  text::Vocabulary vocabulary = tokenizer.vocabulary();
  FRUGAL_RETURN_IF_ERROR(check_kind(vocabulary));
  unmark_user_defined(vocabulary);
  add_padding(vocabulary, config.vocabulary_size);
  FRUGAL_RETURN_IF_ERROR(check_pieces(vocabulary));
  const bool byte_level = vocabulary.kind == text::Vocabulary::Kind::kByteLevelBpe;
  FRUGAL_ASSIGN_OR_RETURN(std::string pre_tokenizer, pre_tokenizer_of(vocabulary, options));
  metadata.emplace_back("tokenizer.ggml.model", std::string(byte_level ? "gpt2" : "llama"));
  metadata.emplace_back("tokenizer.ggml.pre", std::move(pre_tokenizer));
  metadata.emplace_back("tokenizer.ggml.tokens", vocabulary.pieces);
  if (!byte_level) metadata.emplace_back("tokenizer.ggml.scores", vocabulary.scores);
  std::vector<int32_t> types;
  for (const text::PieceType type : vocabulary.types) types.push_back(static_cast<int32_t>(type));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(types));
  if (byte_level) metadata.emplace_back("tokenizer.ggml.merges", vocabulary.merges);
  FRUGAL_RETURN_IF_ERROR(check_given_ids(options.eos, config.vocabulary_size));
  const SpecialIds ids = special_ids(config, vocabulary, options.eos);
  const GgufEnds ends = gguf_ends(ids.eos, vocabulary);
  add_id(metadata, "bos_token_id", ids.bos);
  add_id(metadata, "eos_token_id", ends.eos);
  add_id(metadata, "eot_token_id", ends.eot);
  add_id(metadata, "eom_token_id", ends.eom);
  add_id(metadata, "unknown_token_id", vocabulary.unknown);
  add_id(metadata, "padding_token_id", ids.pad);
  metadata.emplace_back("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  metadata.emplace_back("tokenizer.ggml.add_eos_token", vocabulary.add_eos);
  if (!byte_level)
    metadata.emplace_back("tokenizer.ggml.add_space_prefix", vocabulary.add_space_prefix);
  for (const auto& [name, source] : vocabulary.chat.sources) {
    metadata.emplace_back(
        name == "default" ? "tokenizer.chat_template" : "tokenizer.chat_template." + name, source);
  }
  return absl::OkStatus();
}

std::vector<std::string> gguf_losses(const architecture::ModelConfig& config,
                                     const text::Tokenizer& tokenizer, const GgufOptions& options) {
  const text::Vocabulary& vocabulary = tokenizer.vocabulary();
  const SpecialIds ids = special_ids(config, vocabulary, options.eos);
  const GgufEnds ends = gguf_ends(ids.eos, vocabulary);
  std::vector<std::string> losses;
  if (!ends.eos.has_value()) {
    losses.push_back(
        "neither config.json nor the tokenizer names an end of text, so that llama.cpp will not "
        "stop by itself; give eos_token_id");
  }
  for (const int64_t id : ends.left_out) {
    const auto index = static_cast<size_t>(id);
    losses.push_back(str_cat(
        "generation is to stop at id ", id, " ('",
        index < vocabulary.pieces.size() ? vocabulary.pieces[index] : std::string(),
        "'), too, but a GGUF file names one end of text and one end of turn: llama.cpp will go on "
        "behind it"));
  }
  return losses;
}

}  // namespace frugal::artifact
