#include "golden_folder.h"
#include "support/shared_data.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

// Whatever the tokenizer, the parts together are the text, and each part is valid UTF-8.
TEST(StreamingDecoder, YieldsTheTextInWholeCharacters) {
  const std::string text =
      "Hello, naïve wörld! 日本語 👩‍👩‍👧 — the cat sat on the mat  twice\n\n é";
  size_t tokenizers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder() / "small")) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, load_tokenizer(entry.path()));
    const std::vector<TokenId> ids = tokenizer->encode(text, true);
    StreamingDecoder decoder(tokenizer);
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string part = decoder.push(id);
      std::string repaired;
      EXPECT_EQ(repair_utf8(part, repaired), part);
      streamed += part;
    }
    streamed += decoder.finish();
    std::string repaired;
    const std::string decoded = tokenizer->decode(ids);
    EXPECT_EQ(streamed, repair_utf8(decoded, repaired)) << entry.path();
    ++tokenizers;
  }
  EXPECT_GT(tokenizers, 10u);
}

TEST(StreamingDecoder, WaitsForTheRestOfACharacter) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  StreamingDecoder decoder(tokenizer);
  const TokenId first_byte = 3;  // <0x00>
  EXPECT_EQ(decoder.push(first_byte + 0xF0), "");
  EXPECT_EQ(decoder.push(first_byte + 0x9F), "");
  EXPECT_EQ(decoder.push(first_byte + 0x99), "");
  EXPECT_EQ(decoder.push(first_byte + 0x82), "🙂");
  EXPECT_EQ(decoder.push(first_byte + 0xE2), "");
  EXPECT_EQ(decoder.push(first_byte + 'x'), "\uFFFDx");
  EXPECT_EQ(decoder.push(first_byte + 0xC3), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.finish(), "");
}

}  // namespace
}  // namespace frugal::text
