#include "text/unigram.h"

#include "base/random.h"
#include "support/shared_data.h"
#include "text/tokenizer_json.h"

namespace frugal::text {
namespace {

std::array<TokenId, 256> no_bytes() {
  std::array<TokenId, 256> bytes;
  bytes.fill(-1);
  return bytes;
}

std::vector<TokenId> encode(const UnigramModel& model, std::string_view text) {
  MergeScratch scratch;
  std::vector<TokenId> ids;
  model.encode(text, scratch, ids);
  return ids;
}

// Every way to cut `text`, by what it is worth.
double best_of_all(const std::vector<UnigramPiece>& pieces, std::string_view text) {
  if (text.empty()) return 0;
  double best = -1e30;
  for (const UnigramPiece& piece : pieces) {
    if (text.starts_with(piece.text))
      best = std::max(best, piece.score + best_of_all(pieces, text.substr(piece.text.size())));
  }
  return best;
}

TEST(Unigram, TheSumIsTheBestThereIs) {
  base::RandomStream random(9, "unigram");
  for (int round = 0; round < 200; ++round) {
    std::vector<UnigramPiece> pieces = {{"a", 1, -3}, {"b", 2, -3.5}};
    for (TokenId id = 3; id < 12; ++id) {
      std::string text;
      for (uint64_t n = 2 + random.below(3); n > 0; --n) text += "ab"[random.below(2)];
      pieces.push_back({text, id, -static_cast<double>(random.below(1000)) / 100});
    }
    const UnigramModel model(pieces, no_bytes(), {.unknown = 0, .unknown_score = -20});
    std::string text;
    for (uint64_t n = random.below(9); n > 0; --n) text += "ab"[random.below(2)];
    std::string joined;
    double sum = 0;
    for (const TokenId id : encode(model, text)) {
      joined += pieces[id - 1].text;
      sum += pieces[id - 1].score;
    }
    EXPECT_EQ(joined, text);
    // Of two that are the same piece the last counts, and may be the worse one.
    std::vector<UnigramPiece> counted;
    for (const UnigramPiece& piece : pieces) {
      std::erase_if(counted, [&](const UnigramPiece& p) { return p.text == piece.text; });
      counted.push_back(piece);
    }
    EXPECT_NEAR(sum, best_of_all(counted, text), 1e-9) << text;
  }
}

TEST(Unigram, UnknownCharactersAreOneOrTheirBytes) {
  const std::vector<UnigramPiece> pieces = {{"a", 1, -1}};
  std::array<TokenId, 256> bytes = no_bytes();
  bytes[0xC3] = 2;
  bytes[0xA9] = 3;
  using Ids = std::vector<TokenId>;
  const UnigramModel plain(pieces, bytes, {.unknown = 0, .unknown_score = -11});
  EXPECT_EQ(encode(plain, "aéxa"), (Ids{1, 0, 1}));
  const UnigramModel fallback(pieces, bytes,
                              {.unknown = 0, .unknown_score = -11, .byte_fallback = true});
  EXPECT_EQ(encode(fallback, "aéa"), (Ids{1, 2, 3, 1}));
  EXPECT_EQ(encode(fallback, "aéxa"), (Ids{1, 0, 1}));  // "x" has no byte, and they are one run
}

TEST(Unigram, TokenizerJsonSaysWhatIsWrong) {
  const auto parse = [](const char* model) {
    auto definition = parse_tokenizer_json(base::Json::parse(model), "file");
    if (!definition.ok()) return definition.status();
    definition->decoder = {{"type", "Metaspace"}};
    return build_parts(*std::move(definition), "file").status();
  };
  FRUGAL_EXPECT_OK(
      parse(R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["a", -1]]}})"));
  FRUGAL_EXPECT_ERROR(parse(R"({"model": {"type": "Unigram", "vocab": [["<unk>", 0]]}})"),
                      absl::StatusCode::kUnimplemented, "without unk_id");
  FRUGAL_EXPECT_ERROR(
      parse(R"({"model": {"type": "Unigram", "unk_id": 1, "vocab": [["<unk>", 0]]}})"),
      absl::StatusCode::kInvalidArgument, "unk_id 1 is outside the 1 pieces");
  FRUGAL_EXPECT_ERROR(parse(R"({"model": {"type": "Unigram", "vocab": [["", 0]]}})"),
                      absl::StatusCode::kInvalidArgument, "piece 0 must be [text, score]");
  FRUGAL_EXPECT_ERROR(parse(R"({"model": {"type": "WordPiece", "vocab": {}}})"),
                      absl::StatusCode::kUnimplemented,
                      "model type 'WordPiece' is not supported; supported: BPE, Unigram");
}

}  // namespace
}  // namespace frugal::text
