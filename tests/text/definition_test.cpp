#include "text/definition.h"

#include "support/shared_data.h"

namespace frugal::text {
namespace {

TokenizerDefinition toy() {
  TokenizerDefinition definition;
  definition.pieces = {"a", "b", "ab", "", "Ġ"};
  definition.merges = {{"a", "b"}};
  definition.added = {{5, "<s>", false, false, false, false, true},
                      {7, "tool", false, false, false, false, false}};
  definition.pre_tokenizer = byte_level_pre_tokenizer(pre_tokenizer_pattern("gpt-2"));
  definition.decoder = byte_level_decoder();
  return definition;
}

TEST(Definition, TypesPiecesAndFillsHoles) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TokenizerParts parts, build_parts(toy(), "toy"));
  const Vocabulary& vocabulary = parts.vocabulary;
  EXPECT_EQ(vocabulary.pieces,
            (std::vector<std::string>{"a", "b", "ab", "[PAD3]", "Ġ", "<s>", "[PAD6]", "tool"}));
  using enum PieceType;
  EXPECT_EQ(vocabulary.types, (std::vector<PieceType>{kNormal, kNormal, kNormal, kUnused, kNormal,
                                                      kControl, kUnused, kUserDefined}));
  EXPECT_EQ(vocabulary.merges, (std::vector<std::string>{"a b"}));
  EXPECT_TRUE(vocabulary.scores.empty());
  const PipelineTokenizer tokenizer(parts);
  EXPECT_EQ(tokenizer.encode("ab<s>tool a", false), (std::vector<TokenId>{2, 5, 7, 4, 0}));
  EXPECT_EQ(tokenizer.encode("<s>", false, false),
            (std::vector<TokenId>{}));  // its bytes have no pieces
}

TEST(Definition, ScoresFollowMergeRanks) {
  TokenizerDefinition definition = toy();
  definition.pieces = {"a", "b", "ab", "abb", "c"};
  definition.merges = {{"a", "b"}, {"ab", "b"}};
  definition.added.clear();
  definition.pre_tokenizer = nullptr;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TokenizerParts parts, build_parts(definition, "toy"));
  EXPECT_EQ(parts.vocabulary.kind, Vocabulary::Kind::kSentencePieceBpe);
  EXPECT_EQ(parts.vocabulary.pre_tokenizer, "default");
  const std::vector<float>& scores = parts.vocabulary.scores;
  EXPECT_GT(scores[2], scores[3]);
  for (const size_t single : {0, 1, 4})
    EXPECT_LT(scores[single], scores[3]);  // no merge makes them
}

TEST(Definition, RefusesWhatDoesNotFit) {
  const auto build = [](auto change) {
    TokenizerDefinition definition = toy();
    change(definition);
    return build_parts(std::move(definition), "toy").status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(build([](auto& d) { d.merges.push_back({"b", "a"}); }), kInvalid,
                      "merge 1 'b' + 'a'");
  FRUGAL_EXPECT_ERROR(build([](auto& d) { d.pieces[3] = "a"; }), kInvalid, "two ids");
  FRUGAL_EXPECT_ERROR(build([](auto& d) { d.added[0].id = 0; }), kInvalid, "is both 'a'");
  FRUGAL_EXPECT_ERROR(build([](auto& d) { d.added[0].id = 1 << 30; }), kInvalid,
                      "vocabulary ends at 5");
  FRUGAL_EXPECT_ERROR(build([](auto& d) { d.added[0].content = "b"; }), kInvalid,
                      "the vocabulary gives it 1");
  FRUGAL_EXPECT_ERROR(build([](auto& d) { d.normalizer = {{"type", "Odd"}}; }),
                      absl::StatusCode::kUnimplemented, "Odd");
}

TEST(Definition, SpecialTokensAreFoundByContent) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(TokenizerParts parts, build_parts(toy(), "toy"));
  SpecialTokens special;
  special.bos = special.eos = "<s>";
  special.padding = "<absent>";
  FRUGAL_ASSERT_OK(apply_special_tokens(special, "toy", parts));
  EXPECT_EQ(parts.vocabulary.bos, 5);
  EXPECT_EQ(parts.vocabulary.padding, std::nullopt);
  EXPECT_FALSE(parts.vocabulary.add_bos);  // the post-processor adds nothing
  special.bos = "<none>";
  FRUGAL_EXPECT_ERROR(apply_special_tokens(special, "toy", parts),
                      absl::StatusCode::kInvalidArgument, "<none>");
}

}  // namespace
}  // namespace frugal::text
