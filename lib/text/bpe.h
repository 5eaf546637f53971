// Byte-pair encoding by ranked merges (Sennrich et al. 2016), over bytes (GPT-2) or over characters
// with byte fallback (SentencePiece vocabularies as Hugging Face writes them). Behavior: Hugging
// Face tokenizers, models/bpe.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "text/segment_model.h"

namespace frugal::text {

struct BpeOptions {
  bool byte_level = true;          // symbols are bytes, pieces are written in GPT-2's alphabet
  bool byte_fallback = false;      // characters without a piece become <0xXX> pieces
  bool fuse_unknown = false;       // a run of unknown characters becomes one unknown piece
  bool ignore_merges = false;      // a segment that is a piece is taken whole
  std::optional<TokenId> unknown;  // absent: unknown characters vanish, as in Hugging Face
};

// A piece's parts in rank order.
struct MergeRule {
  TokenId left = -1;
  TokenId right = -1;
  TokenId joined = -1;
};

class BpeModel : public SegmentModel {
 public:
  // `pieces` by id; empty ones are holes. `in_model[id]` false: an added token that the model does
  // not know. Errors: a piece twice, merges out of range.
  static absl::StatusOr<std::shared_ptr<const BpeModel>> create(std::span<const std::string> pieces,
                                                                const std::vector<bool>& in_model,
                                                                std::span<const MergeRule> merges,
                                                                const BpeOptions& options);

  void encode(std::string_view segment, MergeScratch& scratch,
              std::vector<TokenId>& ids) const override;

 private:
  struct Rank {
    int32_t rank = kNone;
    TokenId joined = -1;
    static constexpr int32_t kNone = std::numeric_limits<int32_t>::max();
  };
  static uint64_t key(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  absl::Status index_pieces(std::span<const std::string> pieces, const std::vector<bool>& in_model);
  absl::Status index_merges(std::span<const MergeRule> merges, size_t pieces);
  void learn_boundaries(std::span<const std::string> pieces, std::span<const MergeRule> merges);
  // The ids to begin with: of bytes or of characters.
  void split_bytes(std::string_view segment, std::vector<TokenId>& ids) const;
  void split_characters(std::string_view segment, std::vector<TokenId>& ids) const;
  bool split_fallback(std::string_view character, std::vector<TokenId>& ids) const;
  Rank rank_of(TokenId left, TokenId right) const;
  // Joins ids until no merge is left.
  void join_few(std::vector<TokenId>& ids, MergeScratch& scratch) const;
  void join_many(std::vector<TokenId>& ids, MergeScratch& scratch) const;

  BpeOptions options_;
  base::string_map<TokenId> ids_;  // byte-level: by the bytes themselves
  std::array<TokenId, 256>
      byte_ids_{};  // byte-level: of single bytes; else of <0xXX>; -1 where there is none
  absl::flat_hash_map<uint64_t, Rank> ranks_;
};

// "<0x0A>", the name of a byte's piece.
std::string byte_piece(unsigned char byte);
// The byte named by such a piece.
std::optional<unsigned char> parse_byte_piece(std::string_view piece);

}  // namespace frugal::text
