#include "text/packing.h"

#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "base/random.h"
#include "golden_folder.h"
#include "support/shared_data.h"

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

absl::StatusOr<PackedTokens> all_of(
    const absl::StatusOr<std::unique_ptr<const SequenceReader>>& packed) {
  FRUGAL_RETURN_IF_ERROR(packed.status());
  std::vector<int64_t> rows(static_cast<size_t>((*packed)->count()));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  return (*packed)->read(rows);
}

absl::StatusOr<PackedTokens> pack(const std::vector<Example>& examples, const Tokenizer& tokenizer,
                                  const PackOptions& options) {
  const test::TemporaryFolder folder;
  const auto give = [&](ExampleSink& sink) {
    for (const Example& example : examples) FRUGAL_RETURN_IF_ERROR(sink.take(example).status());
    return absl::OkStatus();
  };
  return all_of(text::pack(give, tokenizer, options, folder.path()));
}

// The same in memory and by its definition: every piece goes to the first row with room, looked for
// from the front.
PackedTokens packed_by_definition(const std::vector<Example>& examples, const Tokenizer& tokenizer,
                                  const PackOptions& options) {
  struct Piece {
    std::vector<TokenId> ids;
    std::vector<uint8_t> loss;
  };
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  std::vector<Piece> pieces;
  for (const Example& example : examples) {
    const EncodedExample encoded = encode_example(tokenizer, example.prompt, example.completion);
    Piece document;
    if (options.add_bos && vocabulary.bos) document.ids.push_back(*vocabulary.bos);
    document.loss.resize(document.ids.size(), 0);
    document.ids.insert(document.ids.end(), encoded.ids.begin(), encoded.ids.end());
    for (size_t i = 0; i < encoded.ids.size(); ++i)
      document.loss.push_back(options.loss_on_prompt ||
                              encoded.prompt_tokens <= static_cast<int64_t>(i));
    if (options.add_eos && vocabulary.eos) document.ids.push_back(*vocabulary.eos);
    document.loss.resize(document.ids.size(), 1);
    for (size_t begin = 0; begin < document.ids.size(); begin += options.length) {
      const size_t end = std::min<size_t>(begin + options.length, document.ids.size());
      Piece piece{{document.ids.begin() + begin, document.ids.begin() + end},
                  {document.loss.begin() + begin, document.loss.begin() + end}};
      piece.loss[0] = 0;
      pieces.push_back(piece);
    }
  }
  base::RandomStream(options.seed, "text/pack").shuffle(std::span(pieces));
  std::vector<PackedTokens> rows;
  for (const Piece& piece : pieces) {
    size_t at = 0;
    while (at < rows.size() &&
           rows[at].ids.size() + piece.ids.size() > static_cast<size_t>(options.length))
      ++at;
    if (at == rows.size()) rows.emplace_back();
    PackedTokens& row = rows[at];
    row.ids.insert(row.ids.end(), piece.ids.begin(), piece.ids.end());
    row.loss_mask.insert(row.loss_mask.end(), piece.loss.begin(), piece.loss.end());
    row.segments.resize(row.ids.size(), static_cast<int32_t>(row.sequences++));
    for (size_t i = 0; i < piece.ids.size(); ++i) row.positions.push_back(static_cast<int32_t>(i));
  }
  PackedTokens packed;
  packed.length = options.length;
  for (PackedTokens& row : rows) {
    ++packed.sequences;
    row.ids.resize(options.length, vocabulary.padding.value_or(vocabulary.eos.value_or(0)));
    row.loss_mask.resize(options.length, 0);
    row.segments.resize(options.length, -1);
    row.positions.resize(options.length, 0);
    packed.ids.insert(packed.ids.end(), row.ids.begin(), row.ids.end());
    packed.loss_mask.insert(packed.loss_mask.end(), row.loss_mask.begin(), row.loss_mask.end());
    packed.segments.insert(packed.segments.end(), row.segments.begin(), row.segments.end());
    packed.positions.insert(packed.positions.end(), row.positions.begin(), row.positions.end());
  }
  return packed;
}

void expect_equal(const PackedTokens& found, const PackedTokens& expected) {
  EXPECT_EQ(found.sequences, expected.sequences);
  EXPECT_EQ(found.ids, expected.ids);
  EXPECT_EQ(found.segments, expected.segments);
  EXPECT_EQ(found.positions, expected.positions);
  EXPECT_EQ(found.loss_mask, expected.loss_mask);
}

std::vector<Example> some_examples() {
  std::vector<Example> examples;
  for (int i = 0; i < 300; ++i) {
    const std::string text(static_cast<size_t>((i * 37) % 90), static_cast<char>('a' + i % 26));
    examples.push_back(example(i % 3 == 0 ? "question " + std::to_string(i) : "", text));
  }
  return examples;
}

TEST(Packing, IsFirstFitOfTheShuffledPieces) {
  const auto tokenizer = byte_tokenizer();
  for (const int64_t length : {2, 31, 256}) {
    for (const bool loss_on_prompt : {false, true}) {
      PackOptions options;
      options.length = length;
      options.loss_on_prompt = loss_on_prompt;
      options.seed = 7;
      FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens packed,
                                  pack(some_examples(), *tokenizer, options));
      expect_equal(packed, packed_by_definition(some_examples(), *tokenizer, options));
    }
  }
}

// Texts come in parts, records one by one; what is packed is the same as of all in memory.
TEST(Packing, StreamsWhatLoadExamplesLoads) {
  const test::TemporaryFolder folder;
  const auto tokenizer = byte_tokenizer();
  std::ofstream jsonl(folder.path() / "a.jsonl");
  for (int text = 0; text < 3; ++text) {
    std::ofstream file(folder.path() / ("text-" + std::to_string(text) + ".txt"));
    for (int i = 0; i < 20000 * text; ++i) file << "line " << i * (text + 1) << ", é\r\n";
  }
  for (int i = 0; i < 500; ++i)
    jsonl << R"({"prompt": "what is )" << i << R"(? ", "completion": "it is )" << i * i << "\"}\n";
  jsonl.close();
  DataSource texts, records, builtin;
  texts.text = {(folder.path() / "*.txt").string()};
  records.jsonl = (folder.path() / "a.jsonl").string();
  builtin.builtin = "storefront";
  builtin.split = "train";
  builtin.limit = 200;
  PackOptions options;
  options.length = 64;
  for (const DataSource& source : {texts, records, builtin}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens packed,
                                all_of(text::pack(source, *tokenizer, options, folder.path())));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto examples, load_examples(source));
    if (source.text.empty())
      expect_equal(packed, packed_by_definition(examples, *tokenizer, options));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens loaded, pack(examples, *tokenizer, options));
    expect_equal(packed, loaded);
  }
}

TEST(Packing, RowsAreReadInAnyOrder) {
  const test::TemporaryFolder folder;
  const auto tokenizer = byte_tokenizer();
  PackOptions options;
  options.length = 32;
  const auto give = [&](ExampleSink& sink) {
    for (const Example& example : some_examples())
      FRUGAL_RETURN_IF_ERROR(sink.take(example).status());
    return absl::OkStatus();
  };
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto packed,
                              text::pack(give, *tokenizer, options, folder.path()));
  const PackedTokens all = packed_by_definition(some_examples(), *tokenizer, options);
  const std::vector<int64_t> rows = {7, 0, 7, packed->count() - 1};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens some, packed->read(rows));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const PackedTokens expected, all.read(rows));
  expect_equal(some, expected);
  EXPECT_EQ(some.ids[0], all.ids[7 * 32]);
  const std::vector<int64_t> beyond = {packed->count()};
  FRUGAL_EXPECT_ERROR(packed->read(beyond), absl::StatusCode::kInternal, "was asked for");
  FRUGAL_EXPECT_ERROR(all.read(beyond), absl::StatusCode::kInternal, "was asked for");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
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
