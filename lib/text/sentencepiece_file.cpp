// SentencePiece's ModelProto (sentencepiece_model.proto), read from the protobuf wire format:
//   1 pieces (repeated): 1 piece (string), 2 score (float), 3 type (1 normal … 6 byte; 1 where
//   absent) 2 trainer_spec: 3 model_type (1 unigram, 2 bpe, 3 word, 4 char), 24
//   treat_whitespace_as_suffix, 35 byte_fallback,
//     40/41/42/43 unk/bos/eos/pad id (0, 1, 2, −1 where absent)
//   3 normalizer_spec: 1 name, 2 precompiled_charsmap, 3 add_dummy_prefix, 4
//   remove_extra_whitespaces,
//     5 escape_whitespaces (all true where absent)
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/text.h"
#include "text/origins.h"
#include "text/sentencepiece_model.h"
#include "text/unigram.h"
#include "text/wire.h"

namespace frugal::text {
namespace {

constexpr size_t kMaxPieces = 1 << 22;
constexpr int64_t kUnigram = 1, kBpe = 2, kCharacters = 4;  // model_type

struct ModelProto {
  Vocabulary vocabulary;
  int64_t model_type = 1;
  int64_t unknown = 0, bos = 1, eos = 2, padding = -1;
  bool whitespace_suffix = false;
  bool byte_fallback = false;
  std::string normalizer_name;
  std::string character_map;  // empty: none
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

absl::Status read_piece(std::string_view bytes, Vocabulary& vocabulary) {
  std::string piece;
  float score = 0;
  int64_t type = 1;
  WireReader reader(bytes);
  while (!reader.at_end()) {
    FRUGAL_ASSIGN_OR_RETURN(const WireField field, reader.next());
    if (field.number == 1 && field.type == WireField::Type::kBytes) piece = field.bytes;
    if (field.number == 2 && field.type == WireField::Type::kFixed32) {
      score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    }
    if (field.number == 3 && field.type == WireField::Type::kVarint)
      type = static_cast<int64_t>(field.value);
  }
  const size_t id = vocabulary.pieces.size();
  if (id >= kMaxPieces) return base::invalid_argument("more than ", kMaxPieces, " pieces");
  if (piece.empty()) return base::invalid_argument("piece ", id, " is empty");
  if (!base::is_valid_utf8(piece))
    return base::invalid_argument("piece ", id, " is not valid UTF-8");
  if (!std::isfinite(score))
    return base::invalid_argument("piece ", id, " has a score that is no number");
  if (type < 1 || type > 6)
    return base::invalid_argument("piece ", id, " has the type ", type, "; expected 1 to 6");
  vocabulary.pieces.push_back(std::move(piece));
  vocabulary.scores.push_back(score);
  vocabulary.types.push_back(static_cast<PieceType>(type));
  return absl::OkStatus();
}

absl::Status read_trainer(std::string_view bytes, ModelProto& model) {
  WireReader reader(bytes);
  while (!reader.at_end()) {
    FRUGAL_ASSIGN_OR_RETURN(const WireField field, reader.next());
    if (field.type != WireField::Type::kVarint) continue;
    const auto value = static_cast<int64_t>(field.value);
    switch (field.number) {
      case 3:
        model.model_type = value;
        break;
      case 24:
        model.whitespace_suffix = value != 0;
        break;
      case 35:
        model.byte_fallback = value != 0;
        break;
      case 40:
        model.unknown = value;
        break;
      case 41:
        model.bos = value;
        break;
      case 42:
        model.eos = value;
        break;
      case 43:
        model.padding = value;
        break;
      default:
        break;
    }
  }
  return absl::OkStatus();
}

absl::Status read_normalizer(std::string_view bytes, ModelProto& model) {
  WireReader reader(bytes);
  while (!reader.at_end()) {
    FRUGAL_ASSIGN_OR_RETURN(const WireField field, reader.next());
    switch (field.number) {
      case 1:
        model.normalizer_name = field.bytes;
        break;
      case 2:
        model.character_map = field.bytes;
        break;
      case 3:
        model.add_dummy_prefix = field.value != 0;
        break;
      case 4:
        model.remove_extra_whitespaces = field.value != 0;
        break;
      case 5:
        model.escape_whitespaces = field.value != 0;
        break;
      default:
        break;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelProto> read_proto(std::string_view content) {
  ModelProto model;
  WireReader reader(content);
  while (!reader.at_end()) {
    FRUGAL_ASSIGN_OR_RETURN(const WireField field, reader.next());
    if (field.type != WireField::Type::kBytes) continue;
    if (field.number == 1) FRUGAL_RETURN_IF_ERROR(read_piece(field.bytes, model.vocabulary));
    if (field.number == 2) FRUGAL_RETURN_IF_ERROR(read_trainer(field.bytes, model));
    if (field.number == 3) FRUGAL_RETURN_IF_ERROR(read_normalizer(field.bytes, model));
  }
  return model;
}

absl::Status check(const ModelProto& model) {
  if (model.vocabulary.pieces.empty())
    return base::invalid_argument("no pieces: this is no SentencePiece model");
  if (model.model_type != kUnigram && model.model_type != kBpe && model.model_type != kCharacters) {
    return base::unimplemented("SentencePiece model type ", model.model_type,
                               " is not supported (3 word); supported: 1 (unigram), 2 (BPE), 4 "
                               "(characters)");
  }
  if (model.whitespace_suffix)
    return base::unimplemented("SentencePiece treat_whitespace_as_suffix is not supported");
  if (!model.escape_whitespaces)
    return base::unimplemented("SentencePiece without escape_whitespaces is not supported");
  const auto size = static_cast<int64_t>(model.vocabulary.pieces.size());
  if (model.unknown < 0 || model.unknown >= size) {
    return base::invalid_argument("unknown id ", model.unknown, " is outside the ", size,
                                  " pieces");
  }
  if (model.vocabulary.types[model.unknown] != PieceType::kUnknown) {
    return base::invalid_argument("piece ", model.unknown,
                                  " is named as the unknown one, but its type is ",
                                  static_cast<int>(model.vocabulary.types[model.unknown]));
  }
  base::string_map<size_t> seen;
  for (size_t id = 0; id < model.vocabulary.pieces.size(); ++id) {
    const auto [found, inserted] = seen.emplace(model.vocabulary.pieces[id], id);
    if (!inserted)
      return base::invalid_argument("pieces ", found->second, " and ", id, " are the same");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const CharacterMap>> read_character_map(const ModelProto& model) {
  if (model.character_map.empty()) return nullptr;
  absl::StatusOr<CharacterMap> map = CharacterMap::read(model.character_map);
  if (!map.ok()) {
    return base::annotate(map.status(), base::str_cat("normalizer '", model.normalizer_name, "'"));
  }
  // SentencePiece looks for user-defined pieces before it maps characters, we behind that.
  const Vocabulary& vocabulary = model.vocabulary;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const std::string& piece = vocabulary.pieces[id];
    if (vocabulary.types[id] == PieceType::kUserDefined && map->apply_longest(piece) != piece) {
      return base::unimplemented("the user-defined piece '", piece,
                                 "' is changed by the normalizer '", model.normalizer_name,
                                 "': not supported");
    }
  }
  return std::make_shared<const CharacterMap>(*std::move(map));
}

// As SentencePiece's unigram_model.cc, in floats.
std::shared_ptr<const SegmentModel> make_unigram(const Vocabulary& vocabulary, bool byte_fallback) {
  float worst = std::numeric_limits<float>::max(), best = std::numeric_limits<float>::min();
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    if (vocabulary.types[id] != PieceType::kNormal) continue;
    worst = std::min(worst, vocabulary.scores[id]);
    best = std::max(best, vocabulary.scores[id]);
  }
  std::array<TokenId, 256> bytes;
  bytes.fill(-1);
  std::vector<UnigramPiece> pieces;
  for (size_t i = 0; i < vocabulary.pieces.size(); ++i) {
    const std::string& text = vocabulary.pieces[i];
    const auto id = static_cast<TokenId>(i);
    const PieceType type = vocabulary.types[i];
    const auto byte = parse_byte_piece(text);
    if (type == PieceType::kByte && byte) bytes[*byte] = id;
    if (type == PieceType::kNormal) pieces.push_back({text, id, vocabulary.scores[i]});
    // Better than any way around it.
    if (type == PieceType::kUserDefined)
      pieces.push_back({text, id, static_cast<double>(text.size() * best) - 0.1});
  }
  const float unknown_score = worst - static_cast<float>(kUnknownPenalty);
  return std::make_shared<const UnigramModel>(
      std::move(pieces), bytes,
      UnigramOptions{*vocabulary.unknown, unknown_score, byte_fallback, true});
}

void merge_listed(const std::vector<AddedToken>& listed, std::vector<AddedToken>& added) {
  for (const AddedToken& token : listed) {
    const auto own = std::find_if(added.begin(), added.end(),
                                  [&](const AddedToken& t) { return t.id == token.id; });
    if (own == added.end())
      added.push_back(token);
    else if (own->content == token.content)
      *own = token;
  }
}

}  // namespace

absl::StatusOr<TokenizerParts> read_sentencepiece_model(std::string_view content,
                                                        const FolderTokens& tokens,
                                                        std::string_view where) {
  absl::StatusOr<ModelProto> read = read_proto(content);
  if (!read.ok()) return base::annotate(read.status(), where);
  ModelProto& model = *read;
  if (absl::Status status = check(model); !status.ok()) return base::annotate(status, where);
  TokenizerParts parts;
  parts.vocabulary = std::move(model.vocabulary);
  Vocabulary& vocabulary = parts.vocabulary;
  vocabulary.kind = Vocabulary::Kind::kSentencePieceBpe;
  vocabulary.pre_tokenizer = "default";
  vocabulary.add_space_prefix = model.add_dummy_prefix;
  const auto size = static_cast<int64_t>(vocabulary.pieces.size());
  const auto optional_id = [&](int64_t id) -> std::optional<TokenId> {
    if (id < 0 || id >= size) return std::nullopt;
    return static_cast<TokenId>(id);
  };
  vocabulary.unknown = optional_id(model.unknown);
  vocabulary.bos = optional_id(model.bos);
  vocabulary.eos = optional_id(model.eos);
  vocabulary.padding = optional_id(model.padding);
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const PieceType type = vocabulary.types[id];
    if (type != PieceType::kControl && type != PieceType::kUnknown) continue;
    parts.added.push_back(
        {static_cast<TokenId>(id), vocabulary.pieces[id], false, false, false, false, true});
  }
  if (model.model_type == kUnigram) {
    vocabulary.kind = Vocabulary::Kind::kUnigram;
    parts.model = make_unigram(vocabulary, model.byte_fallback);
  } else {
    parts.model = std::make_shared<SentencePieceModel>(
        vocabulary, SentencePieceOptions{model.byte_fallback, true});
  }
  merge_listed(tokens.added, parts.added);
  FRUGAL_RETURN_IF_ERROR(place_added_tokens(parts.added, where, vocabulary));
  vocabulary.scores.resize(vocabulary.pieces.size(), 0.0f);
  absl::StatusOr<std::shared_ptr<const CharacterMap>> map = read_character_map(model);
  if (!map.ok()) return base::annotate(map.status(), where);
  parts.normalizer = Normalizer::sentencepiece(*std::move(map), model.remove_extra_whitespaces,
                                               model.add_dummy_prefix, true);
  parts.decoder = Decoder::sentencepiece(model.add_dummy_prefix || model.remove_extra_whitespaces);
  FRUGAL_RETURN_IF_ERROR(apply_special_tokens(tokens.special, where, parts));
  // The proto does not say; Llama and Mistral begin every text with BOS, and end none with EOS.
  vocabulary.add_bos = tokens.special.add_bos.value_or(true) && vocabulary.bos.has_value();
  vocabulary.add_eos = tokens.special.add_eos.value_or(false) && vocabulary.eos.has_value();
  if (vocabulary.add_bos) parts.prefix = {*vocabulary.bos};
  if (vocabulary.add_eos) parts.suffix = {*vocabulary.eos};
  return parts;
}

}  // namespace frugal::text
