#include "text/definition.h"

#include <algorithm>
#include <array>
#include <limits>

#include "text/unigram.h"

namespace frugal::text {
namespace {

// Ids that no file names are allowed (vocabularies are padded to round numbers), absurd ones are
// not.
constexpr int64_t kMaxHoles = 1 << 16;

absl::StatusOr<std::vector<MergeRule>> resolve_merges(const TokenizerDefinition& definition,
                                                      const base::string_map<TokenId>& ids,
                                                      std::string_view where) {
  std::vector<MergeRule> rules;
  rules.reserve(definition.merges.size());
  for (const auto& [left, right] : definition.merges) {
    const auto left_id = ids.find(left);
    const auto right_id = ids.find(right);
    const auto joined_id = ids.find(base::str_cat(left, right));
    if (left_id == ids.end() || right_id == ids.end() || joined_id == ids.end()) {
      return base::invalid_argument(where, ": merge ", rules.size(), " '", left, "' + '", right,
                                    "': the vocabulary lacks one of the parts or the result");
    }
    rules.push_back({left_id->second, right_id->second, joined_id->second});
  }
  return rules;
}

// GGUF and llama.cpp order SentencePiece merges by the score of the result.
std::vector<float> scores_of(const Vocabulary& vocabulary, std::span<const MergeRule> merges) {
  // A piece that no merge makes is never the result of one; it is put behind all others.
  std::vector<float> scores(vocabulary.pieces.size(), 0.0f);
  std::vector<bool> made(scores.size(), false);
  for (size_t i = 0; i < merges.size(); ++i) {
    if (made[merges[i].joined]) continue;
    made[merges[i].joined] = true;
    scores[merges[i].joined] = -static_cast<float>(i);
  }
  for (size_t id = 0; id < scores.size(); ++id) {
    if (!made[id] && vocabulary.types[id] == PieceType::kNormal)
      scores[id] = -static_cast<float>(merges.size() + id);
  }
  return scores;
}

void type_pieces(const TokenizerDefinition& definition, const base::string_map<TokenId>& ids,
                 Vocabulary& vocabulary) {
  vocabulary.pieces = definition.pieces;
  vocabulary.types.assign(vocabulary.pieces.size(), PieceType::kNormal);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.pieces[id].empty())
      vocabulary.types[id] = PieceType::kUnused;
    else if (definition.byte_fallback && parse_byte_piece(vocabulary.pieces[id]))
      vocabulary.types[id] = PieceType::kByte;
  }
  if (const auto unknown = ids.find(definition.unknown_piece); unknown != ids.end()) {
    vocabulary.unknown = unknown->second;
    vocabulary.types[unknown->second] = PieceType::kUnknown;
  }
}

// llama.cpp's name says how to cut the text, so nothing else may change it before (NFC is Qwen's,
// and llama.cpp drops it).
void name_pre_tokenizer(const PreTokenizer& pre_tokenizer, const TokenizerDefinition& definition,
                        Vocabulary& vocabulary) {
  if (vocabulary.kind != Vocabulary::Kind::kByteLevelBpe) {
    vocabulary.pre_tokenizer = "default";
    return;
  }
  const base::Json& normalizer = definition.normalizer;
  const bool plain = normalizer.is_null() || normalizer.value("type", "") == "NFC";
  if (plain) vocabulary.pre_tokenizer = pre_tokenizer.llamacpp_name();
  if (!vocabulary.pre_tokenizer.empty()) return;
  vocabulary.unnamed_pattern = definition.pre_tokenizer.dump(-1, ' ', false);
  if (!plain)
    vocabulary.unnamed_pattern += " behind the normalizer " + normalizer.dump(-1, ' ', false);
}

absl::StatusOr<std::shared_ptr<const SegmentModel>> make_unigram(
    const TokenizerDefinition& definition, const Vocabulary& vocabulary, std::string_view where) {
  if (!vocabulary.unknown)
    return base::unimplemented(where, ": a unigram model without unk_id is not supported");
  if (definition.scores.size() != definition.pieces.size())
    return base::invalid_argument(where, ": ", definition.pieces.size(), " pieces, but ",
                                  definition.scores.size(), " scores");
  std::array<TokenId, 256> bytes;
  bytes.fill(-1);
  std::vector<UnigramPiece> pieces;
  double worst = std::numeric_limits<double>::infinity();
  for (size_t id = 0; id < definition.pieces.size(); ++id) {
    const std::string& text = definition.pieces[id];
    if (const auto byte = parse_byte_piece(text)) bytes[*byte] = static_cast<TokenId>(id);
    worst = std::min(worst, definition.scores[id]);
    if (!text.empty()) pieces.push_back({text, static_cast<TokenId>(id), definition.scores[id]});
  }
  const UnigramOptions options{*vocabulary.unknown, worst - kUnknownPenalty,
                               definition.byte_fallback, false};
  return std::make_shared<const UnigramModel>(std::move(pieces), bytes, options);
}

absl::StatusOr<std::shared_ptr<const SegmentModel>> make_model(
    const TokenizerDefinition& definition, const TokenizerParts& parts,
    std::span<const MergeRule> merges, std::string_view where) {
  const bool byte_level = parts.pre_tokenizer.byte_level();
  if (definition.model == TokenizerDefinition::Model::kUnigram) {
    if (byte_level)
      return base::unimplemented(where, ": a unigram model behind ByteLevel is not supported");
    return make_unigram(definition, parts.vocabulary, where);
  }
  return BpeModel::create(parts.vocabulary.pieces, parts.source.in_model, merges,
                          BpeOptions{byte_level, definition.byte_fallback, definition.fuse_unknown,
                                     definition.ignore_merges, parts.vocabulary.unknown});
}

// What an exporter needs of the model.
void set_tables(const TokenizerDefinition& definition, bool byte_level,
                std::span<const MergeRule> merges, Vocabulary& vocabulary) {
  if (definition.model == TokenizerDefinition::Model::kUnigram) {
    vocabulary.kind = Vocabulary::Kind::kUnigram;
    vocabulary.scores.assign(definition.scores.begin(), definition.scores.end());
    vocabulary.scores.resize(vocabulary.pieces.size(), 0.0f);
  } else if (byte_level) {
    vocabulary.kind = Vocabulary::Kind::kByteLevelBpe;
    for (const auto& [left, right] : definition.merges)
      vocabulary.merges.push_back(base::str_cat(left, " ", right));
  } else {
    vocabulary.kind = Vocabulary::Kind::kSentencePieceBpe;
    vocabulary.scores = scores_of(vocabulary, merges);
  }
}

void fill_holes(Vocabulary& vocabulary) {
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.types[id] == PieceType::kUnused && vocabulary.pieces[id].empty()) {
      vocabulary.pieces[id] = base::str_cat("[PAD", id, "]");
    }
  }
}

}  // namespace

absl::Status place_added_tokens(const std::vector<AddedToken>& added, std::string_view where,
                                Vocabulary& vocabulary) {
  const int64_t limit = static_cast<int64_t>(vocabulary.pieces.size()) +
                        static_cast<int64_t>(added.size()) + kMaxHoles;
  for (const AddedToken& token : added) {
    if (token.id < 0 || token.id >= limit) {
      return base::invalid_argument(where, ": added token '", token.content, "' has id ", token.id,
                                    "; the vocabulary ends at ", vocabulary.pieces.size());
    }
    if (static_cast<size_t>(token.id) >= vocabulary.pieces.size()) {
      vocabulary.pieces.resize(token.id + 1);
      vocabulary.types.resize(token.id + 1, PieceType::kUnused);
    }
    std::string& piece = vocabulary.pieces[token.id];
    if (!piece.empty() && piece != token.content) {
      return base::invalid_argument(where, ": id ", token.id, " is both '", piece,
                                    "' and the added token '", token.content, "'");
    }
    piece = token.content;
    PieceType& type = vocabulary.types[token.id];
    if (type != PieceType::kUnknown)
      type = token.special ? PieceType::kControl : PieceType::kUserDefined;
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenizerParts> build_parts(TokenizerDefinition definition, std::string_view where) {
  TokenizerParts parts;
  FRUGAL_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::parse(definition.normalizer));
  FRUGAL_ASSIGN_OR_RETURN(parts.pre_tokenizer, PreTokenizer::parse(definition.pre_tokenizer));
  FRUGAL_ASSIGN_OR_RETURN(parts.decoder, Decoder::parse(definition.decoder));
  base::string_map<TokenId> ids;
  ids.reserve(definition.pieces.size());
  for (size_t id = 0; id < definition.pieces.size(); ++id) {
    const std::string& piece = definition.pieces[id];
    if (!piece.empty() && !ids.emplace(piece, static_cast<TokenId>(id)).second) {
      return base::invalid_argument(where, ": the piece '", piece, "' has two ids, ", ids[piece],
                                    " and ", id);
    }
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<MergeRule> merges,
                          resolve_merges(definition, ids, where));
  Vocabulary& vocabulary = parts.vocabulary;
  type_pieces(definition, ids, vocabulary);
  parts.source.in_model.assign(vocabulary.pieces.size(), true);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id)
    parts.source.in_model[id] = !vocabulary.pieces[id].empty();
  FRUGAL_ASSIGN_OR_RETURN(parts.model, make_model(definition, parts, merges, where));
  for (const AddedToken& token : definition.added) {
    if (const auto found = ids.find(token.content);
        found != ids.end() && found->second != token.id) {
      return base::invalid_argument(where, ": the added token '", token.content, "' has id ",
                                    token.id, ", but the vocabulary gives it ", found->second);
    }
  }
  FRUGAL_RETURN_IF_ERROR(place_added_tokens(definition.added, where, vocabulary));
  parts.source.in_model.resize(vocabulary.pieces.size(), false);
  set_tables(definition, parts.pre_tokenizer.byte_level(), merges, vocabulary);
  fill_holes(vocabulary);
  name_pre_tokenizer(parts.pre_tokenizer, definition, vocabulary);
  vocabulary.add_space_prefix =
      parts.normalizer.prepends_space() || parts.pre_tokenizer.prepends_space();
  FRUGAL_RETURN_IF_ERROR(parse_post_processor(definition.post_processor,
                                              static_cast<int64_t>(vocabulary.pieces.size()),
                                              parts.prefix, parts.suffix));
  parts.added = std::move(definition.added);
  parts.source.normalizer = std::move(definition.normalizer);
  parts.source.pre_tokenizer = std::move(definition.pre_tokenizer);
  parts.source.post_processor = std::move(definition.post_processor);
  parts.source.decoder = std::move(definition.decoder);
  parts.source.ignore_merges = definition.ignore_merges;
  return parts;
}

absl::Status apply_special_tokens(const SpecialTokens& special, std::string_view where,
                                  TokenizerParts& parts) {
  Vocabulary& vocabulary = parts.vocabulary;
  // Folders often name a padding or unknown token that nobody added; nothing here needs those.
  const auto set = [&](const std::optional<std::string>& name, std::optional<TokenId>& id,
                       bool needed) -> absl::Status {
    if (!name) return absl::OkStatus();
    // Added tokens first: their text may also occur as the spelling of a byte-level piece.
    for (const AddedToken& token : parts.added) {
      if (token.content == *name) {
        id = token.id;
        return absl::OkStatus();
      }
    }
    const auto found = std::find(vocabulary.pieces.begin(), vocabulary.pieces.end(), *name);
    if (found == vocabulary.pieces.end()) {
      if (!needed) return absl::OkStatus();
      return base::invalid_argument(where, ": the special token '", *name,
                                    "' is not in the vocabulary");
    }
    id = static_cast<TokenId>(found - vocabulary.pieces.begin());
    return absl::OkStatus();
  };
  FRUGAL_RETURN_IF_ERROR(set(special.bos, vocabulary.bos, true));
  FRUGAL_RETURN_IF_ERROR(set(special.eos, vocabulary.eos, true));
  FRUGAL_RETURN_IF_ERROR(set(special.unknown, vocabulary.unknown, false));
  FRUGAL_RETURN_IF_ERROR(set(special.padding, vocabulary.padding, false));
  if (!special.chat.sources.empty()) vocabulary.chat = special.chat;
  if (!vocabulary.bos && parts.prefix.size() == 1) vocabulary.bos = parts.prefix.front();
  vocabulary.add_bos =
      vocabulary.bos && !parts.prefix.empty() && parts.prefix.front() == *vocabulary.bos;
  vocabulary.add_eos =
      vocabulary.eos && !parts.suffix.empty() && parts.suffix.back() == *vocabulary.eos;
  return absl::OkStatus();
}

}  // namespace frugal::text
