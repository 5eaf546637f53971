#include "text/decoder.h"

#include "support/shared_data.h"

namespace frugal::text {
namespace {

TEST(Decoder, ByteLevelKeepsCutCharacters) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Decoder decoder, Decoder::parse({{"type", "ByteLevel"}}));
  EXPECT_EQ(decoder.decode({"ĠHello", "Ã", "©", "â"}), " Hello\u00e9\xE2");
  EXPECT_EQ(decoder.decode({"a b", "Ġc"}),
            "a b c");  // an added token with a space is not in the alphabet
}

TEST(Decoder, SentencePieceDropsOneSpaceAtTheFront) {
  EXPECT_EQ(Decoder::sentencepiece(true).decode({"▁▁a", "▁b", "<0xC3>", "<0xA9>"}), " a b\u00e9");
  EXPECT_EQ(Decoder::sentencepiece(false).decode({"▁a"}), " a");
  EXPECT_EQ(Decoder::sentencepiece(true).decode({}), "");
}

TEST(Decoder, StripWorksOnBothSides) {
  const base::Json json = {
      {"type", "Sequence"},
      {"decoders",
       base::Json::array(
           {base::Json{{"type", "Fuse"}},
            base::Json{{"type", "Strip"}, {"content", "x"}, {"start", 1}, {"stop", 2}}})}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Decoder decoder, Decoder::parse(json));
  EXPECT_EQ(decoder.decode({"xx", "a", "xxx"}), "xax");
}

TEST(Decoder, NamesWhatItDoesNotKnow) {
  FRUGAL_EXPECT_ERROR(Decoder::parse({{"type", "WordPiece"}}), absl::StatusCode::kUnimplemented,
                      "WordPiece");
  FRUGAL_EXPECT_ERROR(Decoder::parse(nullptr), absl::StatusCode::kUnimplemented,
                      "without a decoder");
}

}  // namespace
}  // namespace frugal::text
