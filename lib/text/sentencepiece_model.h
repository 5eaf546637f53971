// SentencePiece's BPE (Kudo & Richardson 2018, bpe_model.cc): the pair whose join has the best
// score goes first.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "text/added_tokens.h"
#include "text/segment_model.h"

namespace frugal::text {

struct SentencePieceOptions {
  bool byte_fallback = false;
  bool fuse_unknown =
      true;  // SentencePiece reports a run of unknown characters once; llama2.c each one
};

class SentencePieceModel : public SegmentModel {
 public:
  // Pieces, scores and types by id; `vocabulary.unknown` must be set.
  SentencePieceModel(const Vocabulary& vocabulary, const SentencePieceOptions& options);

  void encode(std::string_view segment, MergeScratch& scratch,
              std::vector<TokenId>& ids) const override;

 private:
  struct Piece {
    TokenId id;
    float score;
    bool unused;  // may be built from, not given out
  };
  using Splits =
      std::map<std::string, size_t, std::less<>>;  // an unused piece's text -> where it was joined

  void learn_boundaries();
  void push_symbols(std::string_view segment, MergeScratch& scratch) const;
  void emit(std::string_view text, const Splits& splits, std::vector<TokenId>& ids,
            bool& after_unknown) const;
  void emit_unknown(std::string_view text, std::vector<TokenId>& ids, bool& after_unknown) const;

  SentencePieceOptions options_;
  TokenId unknown_;
  base::string_map<Piece> pieces_;
  std::array<TokenId, 256> byte_ids_{};
  AddedTokenMatcher user_defined_;
};

}  // namespace frugal::text
