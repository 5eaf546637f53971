#include "text/normalizer.h"

#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(Normalizer, LegacyLlama) {
  const base::Json json =
      base::Json::parse(R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Normalizer normalizer, Normalizer::parse(json));
  EXPECT_EQ(normalizer.apply("a b"), "▁a▁b");
  EXPECT_EQ(normalizer.apply(""), "");
  EXPECT_TRUE(normalizer.prepends_space());
}

TEST(Normalizer, SentencePiece) {
  const Normalizer tidy = Normalizer::sentencepiece(nullptr, true, true, true);
  EXPECT_EQ(tidy.apply("  a   b "), "▁a▁b");
  EXPECT_EQ(tidy.apply("   "), "");
  EXPECT_EQ(Normalizer::sentencepiece(nullptr, false, true, true).apply(" a "), "▁▁a▁");
  EXPECT_FALSE(Normalizer::sentencepiece(nullptr, false, false, true).prepends_space());
}

TEST(Normalizer, SingleSteps) {
  const auto apply = [](const base::Json& json, std::string_view text) {
    return Normalizer::parse(json)->apply(text);
  };
  const base::Json left = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  EXPECT_EQ(apply(left, "\u3000 a \t"), "a \t");
  const base::Json right = {{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}};
  EXPECT_EQ(apply(right, " a \t\u00a0"), " a");
  EXPECT_EQ(apply({{"type", "Lowercase"}}, "ABÇ"), "abç");
  EXPECT_EQ(apply({{"type", "StripAccents"}}, "e\u0301"), "e");
  EXPECT_EQ(apply({{"type", "Nmt"}}, "a\nb"), "a b");
  FRUGAL_EXPECT_ERROR(Normalizer::parse({{"type", "Precompiled"}, {"precompiled_charsmap", "?"}}),
                      absl::StatusCode::kInvalidArgument, "no base64");
  FRUGAL_EXPECT_ERROR(
      Normalizer::parse({{"type", "Precompiled"}, {"precompiled_charsmap", "Zm9v"}}),
      absl::StatusCode::kInvalidArgument, "a character map of 3 bytes");
}

TEST(Normalizer, NamesWhatItDoesNotKnow) {
  FRUGAL_EXPECT_ERROR(Normalizer::parse({{"type", "BertNormalizer"}}),
                      absl::StatusCode::kUnimplemented, "BertNormalizer");
  FRUGAL_EXPECT_ERROR(Normalizer::parse({{"type", 3}}), absl::StatusCode::kInvalidArgument, "type");
  base::Json deep = {{"type", "NFC"}};
  for (int i = 0; i < 40; ++i)
    deep = {{"type", "Sequence"}, {"normalizers", base::Json::array({deep})}};
  FRUGAL_EXPECT_ERROR(Normalizer::parse(deep), absl::StatusCode::kInvalidArgument, "deeper");
}

}  // namespace
}  // namespace frugal::text
