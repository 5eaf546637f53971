#include "text/sentencepiece_model.h"

#include <gtest/gtest.h>

namespace frugal::text {
namespace {

using enum PieceType;
using Ids = std::vector<TokenId>;

Vocabulary vocabulary_of(const std::vector<std::tuple<std::string, float, PieceType>>& pieces) {
  Vocabulary vocabulary;
  for (const auto& [piece, score, type] : pieces) {
    vocabulary.pieces.push_back(piece);
    vocabulary.scores.push_back(score);
    vocabulary.types.push_back(type);
  }
  vocabulary.unknown = 0;
  return vocabulary;
}

Ids encode(const Vocabulary& vocabulary, const SentencePieceOptions& options,
           std::string_view text) {
  MergeScratch scratch;
  Ids ids;
  SentencePieceModel(vocabulary, options).encode(text, scratch, ids);
  return ids;
}

TEST(SentencePieceModel, TheBestScoreGoesFirst) {
  const Vocabulary vocabulary = vocabulary_of({{"<unk>", 0, kUnknown},
                                               {"a", -9, kNormal},
                                               {"b", -9, kNormal},
                                               {"ab", -2, kNormal},
                                               {"ba", -1, kNormal},
                                               {"aba", -3, kNormal}});
  EXPECT_EQ(encode(vocabulary, {}, "aba"), (Ids{5}));  // ba first, then a + ba
  EXPECT_EQ(encode(vocabulary, {}, "abab"), (Ids{5, 2}));
  EXPECT_EQ(encode(vocabulary, {}, "abb"), (Ids{3, 2}));
}

TEST(SentencePieceModel, UserDefinedPiecesAreNeverJoined) {
  const Vocabulary vocabulary = vocabulary_of({{"<unk>", 0, kUnknown},
                                               {"a", -1, kNormal},
                                               {"[x]", 0, kUserDefined},
                                               {"a[x]", -1, kNormal},
                                               {"[", -1, kNormal},
                                               {"x", -1, kNormal}});
  EXPECT_EQ(encode(vocabulary, {}, "a[x]a[x"), (Ids{1, 2, 1, 4, 5}));
}

TEST(SentencePieceModel, UnusedPiecesAreTakenApartAgain) {
  const Vocabulary vocabulary = vocabulary_of({{"<unk>", 0, kUnknown},
                                               {"a", -9, kNormal},
                                               {"b", -9, kNormal},
                                               {"ab", -1, kUnused},
                                               {"abb", -2, kNormal}});
  EXPECT_EQ(encode(vocabulary, {}, "ab"), (Ids{1, 2}));
  EXPECT_EQ(encode(vocabulary, {}, "abb"), (Ids{4}));  // but they may be built from
}

TEST(SentencePieceModel, UnknownCharacters) {
  const Vocabulary plain = vocabulary_of({{"<unk>", 0, kUnknown}, {"a", -1, kNormal}});
  EXPECT_EQ(encode(plain, {false, true}, "xyaz"), (Ids{0, 1, 0}));
  EXPECT_EQ(encode(plain, {false, false}, "xya"), (Ids{0, 0, 1}));
  EXPECT_EQ(encode(plain, {true, false}, "é"), (Ids{0}));  // no byte pieces
  const Vocabulary bytes =
      vocabulary_of({{"<unk>", 0, kUnknown}, {"<0xC3>", 0, kByte}, {"<0xA9>", 0, kByte}});
  EXPECT_EQ(encode(bytes, {true, true}, "éé"), (Ids{1, 2, 1, 2}));
  EXPECT_EQ(encode(bytes, {false, true}, "éé"), (Ids{0}));
}

}  // namespace
}  // namespace frugal::text
