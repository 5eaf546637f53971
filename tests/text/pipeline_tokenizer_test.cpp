#include "text/pipeline_tokenizer.h"

#include "golden_folder.h"
#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(PipelineTokenizer, InvalidBytesAreReplacementCharacters) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/added_tokens.json"));
  EXPECT_EQ(tokenizer->encode("a\xFF", false), tokenizer->encode("a\uFFFD", false));
}

TEST(PipelineTokenizer, SpecialTokensMayBeText) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/added_tokens.json"));
  const std::vector<TokenId> parsed = tokenizer->encode("<|endoftext|>", false);
  EXPECT_EQ(parsed.size(), 1u);
  EXPECT_EQ(tokenizer->decode(parsed), "");
  EXPECT_EQ(tokenizer->decode(parsed, false), "<|endoftext|>");
  const std::vector<TokenId> text = tokenizer->encode("<|endoftext|>", false, false);
  EXPECT_GT(text.size(), 1u);
  EXPECT_EQ(tokenizer->decode(text), "<|endoftext|>");
}

TEST(PipelineTokenizer, AddsWhatThePostProcessorSays) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  const std::vector<TokenId> bare = tokenizer->encode("hello", false);
  std::vector<TokenId> full = tokenizer->encode("hello", true);
  EXPECT_EQ(full.front(), 1);
  EXPECT_EQ(full.back(), 2);
  EXPECT_EQ(std::vector<TokenId>(full.begin() + 1, full.end() - 1), bare);
}

TEST(PipelineTokenizer, IdsOutsideTheVocabularyDecodeToNothing) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  const std::vector<TokenId> odd = {-1, 1 << 30};
  EXPECT_EQ(tokenizer->decode(odd), "");
}

TEST(PipelineTokenizer, LongTextsOfOneSegmentAreFast) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  // One segment of 400,000 characters: a quadratic merge would take hours.
  std::string text;
  while (text.size() < 400000) text += "the quick brown fox ";
  const std::vector<TokenId> ids = tokenizer->encode(text, false);
  EXPECT_LT(ids.size(), text.size() / 2);
  EXPECT_EQ(tokenizer->decode(ids), text);
}

}  // namespace
}  // namespace frugal::text
