#include "text/sentencepiece_model.h"

#include "text/bpe.h"
#include "text/utf8.h"

namespace frugal::text {

SentencePieceModel::SentencePieceModel(const Vocabulary& vocabulary,
                                       const SentencePieceOptions& options)
    : options_(options), unknown_(*vocabulary.unknown) {
  byte_ids_.fill(-1);
  for (size_t i = 0; i < vocabulary.pieces.size(); ++i) {
    const std::string& piece = vocabulary.pieces[i];
    const auto id = static_cast<TokenId>(i);
    switch (vocabulary.types[i]) {
      case PieceType::kByte:
        if (const auto byte = parse_byte_piece(piece)) byte_ids_[*byte] = id;
        break;
      case PieceType::kUserDefined:
        user_defined_.add({id, piece, false, false, false, false, false}, piece);
        pieces_.emplace(piece, Piece{id, vocabulary.scores[i], false});
        break;
      case PieceType::kNormal:
      case PieceType::kUnused:
        pieces_.emplace(piece,
                        Piece{id, vocabulary.scores[i], vocabulary.types[i] == PieceType::kUnused});
        break;
      case PieceType::kUnknown:
      case PieceType::kControl:
        break;  // text never becomes one of these
    }
  }
  learn_boundaries();
}

void SentencePieceModel::learn_boundaries() {
  if (pieces_.contains(WordBoundaries::kMark)) boundaries_.enable();
  for (const auto& [text, piece] : pieces_) {
    // Unused pieces are taken apart by what the whole segment did.
    if (piece.unused) return boundaries_.disable();
    boundaries_.learn(text);
  }
}

void SentencePieceModel::push_symbols(std::string_view segment, MergeScratch& scratch) const {
  scratch.symbols.clear();
  for (const TextPart& part : user_defined_.split(segment, true)) {
    if (part.id >= 0) {
      scratch.push(static_cast<int64_t>(part.begin), static_cast<int64_t>(part.end), part.id, true);
      continue;
    }
    for (size_t at = part.begin; at < part.end;) {
      const size_t length = first_character(segment.substr(at, part.end - at)).length;
      scratch.push(static_cast<int64_t>(at), static_cast<int64_t>(at + length), -1);
      at += length;
    }
  }
}

void SentencePieceModel::emit_unknown(std::string_view text, std::vector<TokenId>& ids,
                                      bool& after_unknown) const {
  bool bytes = options_.byte_fallback;
  for (const char byte : text) bytes = bytes && byte_ids_[static_cast<unsigned char>(byte)] >= 0;
  if (bytes) {
    for (const char byte : text) ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
    after_unknown = false;
    return;
  }
  if (!after_unknown || !options_.fuse_unknown) ids.push_back(unknown_);
  after_unknown = true;
}

void SentencePieceModel::emit(std::string_view text, const Splits& splits,
                              std::vector<TokenId>& ids, bool& after_unknown) const {
  const auto found = pieces_.find(text);
  if (found == pieces_.end()) return emit_unknown(text, ids, after_unknown);
  if (found->second.unused) {
    if (const auto split = splits.find(text); split != splits.end()) {
      emit(text.substr(0, split->second), splits, ids, after_unknown);
      emit(text.substr(split->second), splits, ids, after_unknown);
      return;
    }
  }
  ids.push_back(found->second.id);
  after_unknown = false;
}

void SentencePieceModel::encode(std::string_view segment, MergeScratch& scratch,
                                std::vector<TokenId>& ids) const {
  push_symbols(segment, scratch);
  const auto joined_text = [&](const Symbol& left, const Symbol& right) {
    return segment.substr(left.begin, right.end - left.begin);
  };
  Splits splits;
  merge_symbols(
      scratch,
      [&](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
        if (left.frozen || right.frozen) return std::nullopt;
        const auto found = pieces_.find(joined_text(left, right));
        if (found == pieces_.end()) return std::nullopt;
        return Merge{-static_cast<double>(found->second.score), found->second.id};
      },
      [&](const Symbol& left, const Symbol& right, TokenId) {
        const std::string_view text = joined_text(left, right);
        if (const auto found = pieces_.find(text); found != pieces_.end() && found->second.unused) {
          splits.insert_or_assign(std::string(text), static_cast<size_t>(left.end - left.begin));
        }
      });
  bool after_unknown = false;
  for (const Symbol& symbol : scratch.symbols) {
    if (!symbol.alive) continue;
    emit(segment.substr(symbol.begin, symbol.end - symbol.begin), splits, ids, after_unknown);
  }
}

}  // namespace frugal::text
