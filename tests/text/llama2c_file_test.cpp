#include <bit>

#include "support/shared_data.h"
#include "text/origins.h"
#include "text/pipeline_tokenizer.h"

namespace frugal::text {
namespace {

std::string u32(uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
std::string piece(const std::string& text, float score) {
  return u32(std::bit_cast<uint32_t>(score)) + u32(static_cast<uint32_t>(text.size())) + text;
}
std::string toy() {
  return u32(7) + piece("<unk>", 0) + piece("\n<s>\n", 0) + piece("\n</s>\n", 0) +
         piece("<0x0A>", 0) + piece(" ", -1) + piece("a", -2) + piece(" a", -0.5f);
}

TEST(Llama2cFile, RestoresPiecesAndTypes) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(TokenizerParts parts, read_llama2c_tokenizer(toy(), "toy.bin"));
  EXPECT_EQ(parts.vocabulary.pieces,
            (std::vector<std::string>{"<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "▁a"}));
  using enum PieceType;
  EXPECT_EQ(parts.vocabulary.types, (std::vector<PieceType>{kUnknown, kControl, kControl, kByte,
                                                            kNormal, kNormal, kNormal}));
  const PipelineTokenizer tokenizer(std::move(parts));
  EXPECT_EQ(tokenizer.encode("a a\nxy", true), (std::vector<TokenId>{1, 6, 6, 3, 0, 0}));
  EXPECT_EQ(tokenizer.encode("", true), (std::vector<TokenId>{1}));
}

TEST(Llama2cFile, Refuses) {
  const auto read = [](const std::string& content) {
    return read_llama2c_tokenizer(content, "toy.bin").status();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(read(""), kInvalid, "not a llama2.c tokenizer");
  FRUGAL_EXPECT_ERROR(read(u32(1u << 30)), kInvalid, "not a llama2.c tokenizer");
  FRUGAL_EXPECT_ERROR(read(u32(7)), kInvalid, "fewer than four");
  FRUGAL_EXPECT_ERROR(read(toy() + "abc"), absl::StatusCode::kDataLoss, "cut off");
  FRUGAL_EXPECT_ERROR(read(toy() + u32(0) + u32(4000000000u)), absl::StatusCode::kDataLoss,
                      "4000000000 bytes");
  FRUGAL_EXPECT_ERROR(read(toy() + piece("a", 0)), kInvalid, "are the same");
  FRUGAL_EXPECT_ERROR(read(toy() + piece("\xFF", 0)), kInvalid, "UTF-8");
}

}  // namespace
}  // namespace frugal::text
