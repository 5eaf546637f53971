#include <bit>

#include "support/shared_data.h"
#include "text/origins.h"
#include "text/pipeline_tokenizer.h"

namespace frugal::text {
namespace {

// Just enough of protobuf to write models of every kind.
std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}
std::string number(int field, uint64_t value) { return varint(field << 3) + varint(value); }
std::string bytes(int field, const std::string& value) {
  return varint(field << 3 | 2) + varint(value.size()) + value;
}
std::string piece(const std::string& text, float score, PieceType type) {
  std::string fixed(4, '\0');
  for (int i = 0; i < 4; ++i)
    fixed[i] = static_cast<char>(std::bit_cast<uint32_t>(score) >> (8 * i));
  return bytes(
      1, bytes(1, text) + varint(2 << 3 | 5) + fixed + number(3, static_cast<uint64_t>(type)));
}

using enum PieceType;
const std::string kBpe = bytes(2, number(3, 2));
std::string toy_pieces() {
  return piece("<unk>", 0, kUnknown) + piece("<s>", 0, kControl) + piece("</s>", 0, kControl) +
         piece("▁", -3, kNormal) + piece("a", -4, kNormal) + piece("b", -5, kNormal) +
         piece("ab", -1, kNormal) + piece("▁a", -2, kNormal);
}

absl::StatusOr<TokenizerParts> read(const std::string& model, const FolderTokens& tokens = {}) {
  return read_sentencepiece_model(model, tokens, "toy.model");
}
std::vector<TokenId> encode(const std::string& model, std::string_view text) {
  return PipelineTokenizer(*read(model)).encode(text, false);
}
using Ids = std::vector<TokenId>;

TEST(SentencePieceFile, DefaultsAreThoseOfTheProto) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TokenizerParts parts, read(toy_pieces() + kBpe));
  EXPECT_EQ(parts.vocabulary.unknown, 0);
  EXPECT_EQ(parts.vocabulary.bos, 1);
  EXPECT_EQ(parts.vocabulary.eos, 2);
  EXPECT_EQ(parts.vocabulary.padding, std::nullopt);
  EXPECT_TRUE(parts.vocabulary.add_bos && parts.vocabulary.add_space_prefix);
  EXPECT_EQ(encode(toy_pieces() + kBpe, "ab  ab"),
            (Ids{3, 6, 3, 6}));  // "ab" beats "▁a"; spaces are folded
  const std::string keep = bytes(3, number(3, 0) + number(4, 0));
  EXPECT_EQ(encode(toy_pieces() + kBpe + keep, "a  b"), (Ids{4, 3, 3, 5}));
}

TEST(SentencePieceFile, FolderWordsCount) {
  FolderTokens tokens;
  tokens.special.add_bos = false;
  tokens.special.add_eos = true;
  tokens.added = {{8, "<|x|>", false, false, false, false, true}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(TokenizerParts parts, read(toy_pieces() + kBpe, tokens));
  const PipelineTokenizer tokenizer(std::move(parts));
  EXPECT_EQ(tokenizer.size(), 9);
  EXPECT_EQ(tokenizer.encode("a<|x|>", true), (Ids{7, 8, 2}));
  EXPECT_EQ(tokenizer.vocabulary().scores.size(), 9u);
}

TEST(SentencePieceFile, UnigramWhereTheKindIsAbsent) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TokenizerParts parts, read(toy_pieces()));
  EXPECT_EQ(parts.vocabulary.kind, Vocabulary::Kind::kUnigram);
}

TEST(SentencePieceFile, RefusesWhatItDoesNotDo) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  constexpr auto kUnknownKind = absl::StatusCode::kUnimplemented;
  FRUGAL_EXPECT_ERROR(read(toy_pieces() + bytes(2, number(3, 3))), kUnknownKind, "model type 3");
  FRUGAL_EXPECT_ERROR(read(toy_pieces() + kBpe + bytes(3, bytes(2, "map"))), kInvalid,
                      "character map");
  FRUGAL_EXPECT_ERROR(read(toy_pieces() + bytes(2, number(3, 2) + number(24, 1))), kUnknownKind,
                      "suffix");
  FRUGAL_EXPECT_ERROR(read(kBpe), kInvalid, "no pieces");
  FRUGAL_EXPECT_ERROR(read(toy_pieces() + piece("a", 0, kNormal) + kBpe), kInvalid, "are the same");
  FRUGAL_EXPECT_ERROR(read(toy_pieces() + bytes(2, number(3, 2) + number(40, 99))), kInvalid,
                      "unknown id 99");
  FRUGAL_EXPECT_ERROR(read(toy_pieces() + bytes(2, number(3, 2) + number(40, 4))), kInvalid,
                      "its type is 1");
  FRUGAL_EXPECT_ERROR(read(piece("\xFF", 0, kNormal) + kBpe), kInvalid, "not valid UTF-8");
  FRUGAL_EXPECT_ERROR(read(piece("", 0, kNormal) + kBpe), kInvalid, "is empty");
  FRUGAL_EXPECT_ERROR(read(piece("x", std::numeric_limits<float>::quiet_NaN(), kNormal) + kBpe),
                      kInvalid, "no number");
  FRUGAL_EXPECT_ERROR(read(piece("x", 0, static_cast<PieceType>(9)) + kBpe), kInvalid, "type 9");
  FRUGAL_EXPECT_ERROR(read(toy_pieces().substr(0, 28)), absl::StatusCode::kDataLoss, "toy.model");
}

}  // namespace
}  // namespace frugal::text
