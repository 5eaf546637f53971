#include "text/normalizer.h"

#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(Normalizer, UnicodeForms) {
  EXPECT_EQ(normalize_unicode("e\u0301", "NFC"), "\u00e9");
  EXPECT_EQ(normalize_unicode("\u00e9", "NFD"), "e\u0301");
  EXPECT_EQ(normalize_unicode("\u212b", "NFC"), "\u00c5");
  EXPECT_EQ(normalize_unicode("\ufb01", "NFC"), "\ufb01");
  EXPECT_EQ(normalize_unicode("\ufb01\u00b2", "NFKC"), "fi2");
  EXPECT_EQ(normalize_unicode("가", "NFD"), "\u1100\u1161");
  EXPECT_EQ(normalize_unicode(std::string_view("a\0\u0301", 4), "NFC"),
            std::string_view("a\0\u0301", 4));
  EXPECT_EQ(normalize_unicode("plain", "NFKD"), "plain");
}

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
  const Normalizer tidy = Normalizer::sentencepiece(true, true, true);
  EXPECT_EQ(tidy.apply("  a   b "), "▁a▁b");
  EXPECT_EQ(tidy.apply("   "), "");
  EXPECT_EQ(Normalizer::sentencepiece(false, true, true).apply(" a "), "▁▁a▁");
  EXPECT_FALSE(Normalizer::sentencepiece(false, false, true).prepends_space());
}

TEST(Normalizer, NamesWhatItDoesNotKnow) {
  FRUGAL_EXPECT_ERROR(Normalizer::parse({{"type", "Lowercase"}}), absl::StatusCode::kUnimplemented,
                      "Lowercase");
  FRUGAL_EXPECT_ERROR(Normalizer::parse({{"type", 3}}), absl::StatusCode::kInvalidArgument, "type");
  base::Json deep = {{"type", "NFC"}};
  for (int i = 0; i < 40; ++i)
    deep = {{"type", "Sequence"}, {"normalizers", base::Json::array({deep})}};
  FRUGAL_EXPECT_ERROR(Normalizer::parse(deep), absl::StatusCode::kInvalidArgument, "deeper");
}

}  // namespace
}  // namespace frugal::text
