#include <map>
#include <set>

#include "golden_folder.h"
#include "support/shared_data.h"
#include "text/dataset.h"

namespace frugal::text {
namespace {

std::shared_ptr<const Tokenizer> byte_tokenizer() {
  BpeTrainerOptions options;
  options.vocabulary_size = 257;
  return *train_bpe(std::vector<std::string>{}, options);
}

Example example(std::string prompt, std::string completion) {
  Example result;
  result.prompt = std::move(prompt);
  result.completion = std::move(completion);
  return result;
}

TEST(Packing, EveryDocumentIsThereOnceAndWhole) {
  const auto tokenizer = byte_tokenizer();
  std::vector<Example> examples;
  std::multiset<std::string> expected;
  for (int i = 0; i < 200; ++i) {
    const std::string text =
        std::string(1 + (i * 7) % 13, static_cast<char>('a' + i % 26)) + std::to_string(i);
    examples.push_back(example("", text));
    expected.insert(text);
  }
  PackOptions options;
  options.length = 32;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens packed, pack(examples, *tokenizer, options));
  EXPECT_EQ(packed.ids.size(), static_cast<size_t>(packed.sequences * packed.length));
  std::multiset<std::string> found;
  for (int64_t row = 0; row < packed.sequences; ++row) {
    std::map<int32_t, std::vector<TokenId>> documents;
    for (int64_t t = 0; t < packed.length; ++t) {
      const int64_t at = row * packed.length + t;
      if (packed.segments[at] < 0) {
        EXPECT_EQ(packed.loss_mask[at], 0);
        continue;
      }
      auto& document = documents[packed.segments[at]];
      EXPECT_EQ(packed.positions[at], static_cast<int32_t>(document.size()));
      EXPECT_EQ(packed.loss_mask[at], document.empty() ? 0 : 1);
      document.push_back(packed.ids[at]);
    }
    for (const auto& [segment, ids] : documents) {
      EXPECT_EQ(ids.front(), 0);  // <|endoftext|> opens and closes
      EXPECT_EQ(ids.back(), 0);
      found.insert(tokenizer->decode(ids));
    }
  }
  EXPECT_EQ(found, expected);
  // First fit needs at most 1.7 times the rows of the best packing (Dósa & Sgall 2013).
  size_t tokens = 0;
  for (const std::string& text : expected) tokens += text.size() + 2;
  EXPECT_LE(packed.sequences, static_cast<int64_t>(1.7 * static_cast<double>((tokens + 31) / 32)));
}

TEST(Packing, LossCountsCompletionsOnly) {
  const auto tokenizer = byte_tokenizer();
  PackOptions options;
  options.length = 10;
  FRUGAL_ASSERT_OK_AND_ASSIGN(PackedTokens packed,
                              pack({example("abc", "de")}, *tokenizer, options));
  EXPECT_EQ(packed.loss_mask,
            (std::vector<uint8_t>{0, 0, 0, 0, 1, 1, 1, 0, 0, 0}));  // d, e and the end
  options.loss_on_prompt = true;
  FRUGAL_ASSERT_OK_AND_ASSIGN(packed, pack({example("abc", "de")}, *tokenizer, options));
  EXPECT_EQ(packed.loss_mask, (std::vector<uint8_t>{0, 1, 1, 1, 1, 1, 1, 0, 0, 0}));
  options.add_bos = options.add_eos = false;
  FRUGAL_ASSERT_OK_AND_ASSIGN(packed, pack({example("", "de")}, *tokenizer, options));
  EXPECT_EQ(packed.loss_mask, (std::vector<uint8_t>{0, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Packing, LongDocumentsAreCut) {
  const auto tokenizer = byte_tokenizer();
  PackOptions options;
  options.length = 8;
  options.add_bos = options.add_eos = false;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens packed,
                              pack({example("", std::string(20, 'x'))}, *tokenizer, options));
  EXPECT_EQ(packed.sequences, 3);
  EXPECT_EQ(std::count(packed.segments.begin(), packed.segments.end(), -1), 4);
  EXPECT_EQ(std::count(packed.loss_mask.begin(), packed.loss_mask.end(), 1),
            17);  // 20 − the first of each piece
}

TEST(Packing, TheSeedDecidesTheOrder) {
  const auto tokenizer = byte_tokenizer();
  std::vector<Example> examples;
  for (int i = 0; i < 50; ++i) examples.push_back(example("", std::to_string(i)));
  PackOptions options;
  options.length = 16;
  const PackedTokens one = *pack(examples, *tokenizer, options);
  EXPECT_EQ(pack(examples, *tokenizer, options)->ids, one.ids);
  options.seed = 2;
  EXPECT_NE(pack(examples, *tokenizer, options)->ids, one.ids);
}

TEST(Packing, Refuses) {
  const auto tokenizer = byte_tokenizer();
  PackOptions options;
  options.length = 1;
  FRUGAL_EXPECT_ERROR(pack({example("", "a")}, *tokenizer, options),
                      absl::StatusCode::kInvalidArgument, "at least 2");
  FRUGAL_EXPECT_ERROR(pack({}, *tokenizer, PackOptions()), absl::StatusCode::kInvalidArgument,
                      "no tokens");
}

TEST(EncodeExample, TheBoundaryIsTheCommonStart) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                              load_tokenizer(golden_folder() / "small/spm_legacy.json"));
  const EncodedExample plain = encode_example(*tokenizer, "the cat", " sat");
  EXPECT_EQ(plain.ids, tokenizer->encode("the cat sat", false));
  EXPECT_EQ(plain.prompt_tokens, static_cast<int64_t>(tokenizer->encode("the cat", false).size()));
  // "the" alone is one piece; in "then" the boundary lies inside, so the piece belongs to the
  // completion.
  const EncodedExample inside = encode_example(*tokenizer, "t", "he cat");
  EXPECT_EQ(inside.ids, tokenizer->encode("the cat", false));
  EXPECT_EQ(inside.prompt_tokens, 0);
  EXPECT_EQ(encode_example(*tokenizer, "", "the").prompt_tokens, 0);
}

}  // namespace
}  // namespace frugal::text
