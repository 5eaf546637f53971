#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/text.h"
#include "text/bpe.h"
#include "text/origins.h"
#include "text/sentencepiece_model.h"

namespace frugal::text {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// llama2.c writes a plain space for "▁" and sets line feeds around the first two control pieces.
std::string restore_piece(std::string_view text, size_t id) {
  if (id == 1 && text == "\n<s>\n") return "<s>";
  if (id == 2 && text == "\n</s>\n") return "</s>";
  std::string piece;
  for (const char c : text) {
    if (c == ' ')
      piece += kSpaceMark;
    else
      piece += c;
  }
  return piece;
}

PieceType piece_type(std::string_view piece, size_t id) {
  if (id == 0) return PieceType::kUnknown;
  if (id == 1 || id == 2) return PieceType::kControl;
  return parse_byte_piece(piece) ? PieceType::kByte : PieceType::kNormal;
}

absl::Status read_pieces(std::string_view content, Vocabulary& vocabulary) {
  constexpr size_t kHead = 8;
  for (size_t at = 4; at < content.size();) {
    const size_t id = vocabulary.pieces.size();
    if (content.size() - at < kHead)
      return base::data_loss("piece ", id, " is cut off at byte ", at);
    const float score = std::bit_cast<float>(read_u32(content, at));
    const uint32_t length = read_u32(content, at + 4);
    if (length > content.size() - at - kHead) {
      return base::data_loss("piece ", id, " of ", length, " bytes at byte ", at, ", where ",
                             content.size() - at - kHead, " are left");
    }
    std::string piece = restore_piece(content.substr(at + kHead, length), id);
    if (piece.empty() || !base::is_valid_utf8(piece)) {
      return base::invalid_argument("piece ", id, " is empty or not valid UTF-8");
    }
    if (!std::isfinite(score))
      return base::invalid_argument("piece ", id, " has a score that is no number");
    vocabulary.types.push_back(piece_type(piece, id));
    vocabulary.pieces.push_back(std::move(piece));
    vocabulary.scores.push_back(score);
    at += kHead + length;
  }
  if (vocabulary.pieces.size() < 4) return base::invalid_argument("fewer than four pieces");
  base::string_map<size_t> seen;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const auto [found, inserted] = seen.emplace(vocabulary.pieces[id], id);
    if (!inserted)
      return base::invalid_argument("pieces ", found->second, " and ", id, " are the same");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerParts> read_llama2c_tokenizer(std::string_view content,
                                                      std::string_view where) {
  constexpr uint32_t kLongestPiece = 4096;
  if (content.size() < 4 || read_u32(content, 0) > kLongestPiece) {
    return base::invalid_argument(
        where, ": not a llama2.c tokenizer (expected u32 longest piece, then score, length ",
        "and bytes of each piece)");
  }
  TokenizerParts parts;
  Vocabulary& vocabulary = parts.vocabulary;
  if (absl::Status status = read_pieces(content, vocabulary); !status.ok())
    return base::annotate(status, where);
  vocabulary.kind = Vocabulary::Kind::kSentencePieceBpe;
  vocabulary.pre_tokenizer = "default";
  vocabulary.unknown = 0;
  vocabulary.bos = 1;
  vocabulary.eos = 2;
  vocabulary.add_bos = true;
  vocabulary.add_space_prefix = true;
  for (TokenId id = 0; id < 3; ++id) {
    parts.added.push_back({id, vocabulary.pieces[id], false, false, false, false, true});
  }
  // llama2.c gives one <unk> for each unknown character.
  parts.model = std::make_shared<SentencePieceModel>(vocabulary, SentencePieceOptions{true, false});
  parts.normalizer = Normalizer::sentencepiece(nullptr, false, true, true);
  parts.decoder = Decoder::sentencepiece(true);
  parts.prefix = {*vocabulary.bos};
  return parts;
}

}  // namespace frugal::text
