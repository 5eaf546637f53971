#include "text/word_boundaries.h"

#include "base/random.h"
#include "support/shared_data.h"
#include "text/bpe.h"
#include "text/sentencepiece_model.h"

namespace frugal::text {
namespace {

TEST(WordBoundaries, LieInFrontOfMarksThatNothingJoinsToWhatIsBefore) {
  WordBoundaries boundaries;
  EXPECT_EQ(boundaries.next("a▁b"), 5u);  // none: not enabled
  boundaries.enable();
  boundaries.learn("▁▁");
  boundaries.learn("x.▁y");
  EXPECT_EQ(boundaries.next("▁a▁b"), 4u);
  EXPECT_EQ(boundaries.next("▁▁a"), 7u);
  EXPECT_EQ(boundaries.next("a.▁b▁c"), 6u);
  EXPECT_EQ(boundaries.next("▁"), 3u);
  EXPECT_EQ(boundaries.next("a\xE2\x96\x82▁"), 4u);
  EXPECT_FALSE(boundaries.behind('.'));
}

struct Toy {
  Vocabulary vocabulary;
  std::vector<MergeRule> merges;
};

// Merges over "a", "b", "▁" that join across marks now and then.
Toy random_toy(base::RandomStream& random) {
  Toy toy;
  Vocabulary& vocabulary = toy.vocabulary;
  vocabulary.pieces = {"<unk>", "a", "b", "▁"};
  while (vocabulary.pieces.size() < 12) {
    const size_t count = vocabulary.pieces.size();
    const auto left = static_cast<TokenId>(1 + random.below(count - 1));
    const auto right = static_cast<TokenId>(1 + random.below(count - 1));
    const std::string joined = vocabulary.pieces[left] + vocabulary.pieces[right];
    if (joined.find("▁", 1) != joined.npos && random.below(4) != 0) continue;
    if (std::find(vocabulary.pieces.begin(), vocabulary.pieces.end(), joined) !=
        vocabulary.pieces.end())
      continue;
    toy.merges.push_back({left, right, static_cast<TokenId>(count)});
    vocabulary.pieces.push_back(joined);
  }
  vocabulary.types.assign(vocabulary.pieces.size(), PieceType::kNormal);
  vocabulary.types[0] = PieceType::kUnknown;
  vocabulary.unknown = 0;
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id)
    vocabulary.scores.push_back(-static_cast<float>(id));
  return toy;
}

std::vector<TokenId> encode(const SegmentModel& model, std::string_view text, bool apart) {
  MergeScratch scratch;
  std::vector<TokenId> ids;
  while (!text.empty()) {
    const size_t end = apart ? model.boundaries().next(text) : text.size();
    model.encode(text.substr(0, end), scratch, ids);
    text.remove_prefix(end);
  }
  return ids;
}

TEST(WordBoundaries, PartsHaveTheIdsOfTheWhole) {
  base::RandomStream random(6, "word-boundaries");
  size_t boundaries = 0;
  for (int round = 0; round < 500; ++round) {
    const Toy toy = random_toy(random);
    const std::vector<std::string>& pieces = toy.vocabulary.pieces;
    BpeOptions options{.byte_level = false, .fuse_unknown = true, .unknown = 0};
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto ranked,
        BpeModel::create(pieces, std::vector<bool>(pieces.size(), true), toy.merges, options));
    const SentencePieceModel scored(toy.vocabulary, {});
    ASSERT_TRUE(ranked->boundaries().any());
    for (int texts = 0; texts < 20; ++texts) {
      std::string text;
      constexpr std::string_view kParts[] = {"a", "b", "ab", "▁", "▁", "▁a", "x", "é"};
      for (uint64_t n = random.below(60); n > 0; --n)
        text += kParts[random.below(std::size(kParts))];
      EXPECT_EQ(encode(*ranked, text, true), encode(*ranked, text, false)) << text;
      EXPECT_EQ(encode(scored, text, true), encode(scored, text, false)) << text;
      boundaries += ranked->boundaries().next(text) < text.size() ? 1 : 0;
    }
  }
  EXPECT_GT(boundaries, 1000u);
}

TEST(WordBoundaries, WhatStandsForBytesOrUnknownCharactersHasNone) {
  const std::vector<std::string> pieces = {"<unk>", "▁", "<0x41>", "<0x41>▁", "<unk>▁"};
  const std::vector<bool> all(pieces.size(), true);
  const BpeOptions options{.byte_level = false, .byte_fallback = true, .unknown = 0};
  const std::vector<MergeRule> bytes = {{2, 1, 3}}, unknown = {{0, 1, 4}};
  EXPECT_FALSE((*BpeModel::create(pieces, all, bytes, options))->boundaries().any());
  EXPECT_FALSE((*BpeModel::create(pieces, all, unknown, options))->boundaries().any());
  EXPECT_TRUE((*BpeModel::create(pieces, all, {}, options))->boundaries().any());
}

}  // namespace
}  // namespace frugal::text
