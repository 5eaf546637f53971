// Unigram (Kudo 2018): of all ways to cut a segment into pieces the one whose scores sum to most.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/piece_trie.h"
#include "text/segment_model.h"

namespace frugal::text {

struct UnigramPiece {
  std::string text;
  TokenId id = -1;
  double score = 0;
};

struct UnigramOptions {
  TokenId unknown = -1;      // of characters that no piece is; a run of them counts once
  double unknown_score = 0;  // of each
  bool byte_fallback = false;
  // Sums are kept as floats, as SentencePiece does; Hugging Face keeps doubles. Of cuts that are
  // equally good but for rounding they choose differently.
  bool float_sums = false;
};

// What an unknown character costs below the worst piece.
inline constexpr double kUnknownPenalty = 10.0;

class UnigramModel : public SegmentModel {
 public:
  // `bytes`: ids of <0xXX>, −1 where there is none. Pieces must not be empty.
  UnigramModel(std::vector<UnigramPiece> pieces, const std::array<TokenId, 256>& bytes,
               const UnigramOptions& options);

  void encode(std::string_view segment, MergeScratch& scratch,
              std::vector<TokenId>& ids) const override;

 private:
  // The best way that ends at a place, by its last piece.
  struct Step {
    double sum = 0;
    size_t begin = 0;
    TokenId id = -1;  // −1: not reached
  };
  void improve(Step& step, double sum, size_t begin, TokenId id) const;
  std::vector<Step> best_steps(std::string_view segment) const;
  void emit_unknown(std::string_view text, std::vector<TokenId>& ids) const;

  UnigramOptions options_;
  std::array<TokenId, 256> bytes_;
  std::vector<std::pair<TokenId, double>> pieces_;  // id and score, by the trie's numbers
  PieceTrie trie_;
};

}  // namespace frugal::text
