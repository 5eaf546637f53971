#include "evaluate/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/file.h"
#include "base/hash.h"
#include "evaluate/test_models.h"
#include "format/checkpoint.h"
#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

using absl::StatusCode;

Protocol protocol(std::string_view id) { return *parse_protocol(id); }

std::vector<text::Example> texts(const std::vector<std::string>& contents) {
  std::vector<text::Example> result;
  for (const std::string& content : contents) {
    text::Example& example = result.emplace_back();
    example.id = base::str_cat("text/", result.size());
    example.completion = content;
  }
  return result;
}

// 301 different-looking bytes without the merged pair.
std::string some_text() {
  std::string text;
  for (int i = 0; i < 301; ++i) text += static_cast<char>('A' + (i * 7 + i / 13) % 26);
  return text;
}

base::RandomStream stream() { return base::RandomStream(1, "test/perplexity"); }

TEST(ProtocolTest, NamesSayWhatIsScored) {
  EXPECT_EQ(protocol("gptq-2048").id(), "gptq-2048");
  EXPECT_EQ(protocol("gptq-2048").first_target(), 1);
  EXPECT_EQ(protocol("llamacpp-512").id(), "llamacpp-512");
  EXPECT_EQ(protocol("llamacpp-512").first_target(),
            257);  // 257..511: 255, not 256 (llama.cpp, perplexity.cpp)
  EXPECT_EQ(protocol("documents-256").id(), "documents-256");
  EXPECT_EQ(protocol("lmeval-256").id(), "lmeval-256");
}

TEST(ProtocolTest, RefusesOtherNames) {
  for (const char* id : {"gptq", "gptq-", "gptq-x", "gptq-12x", "gptq-0", "gptq--5", "gptq-3",
                         "llamacpp-255", "wikitext-2048", "", "gptq-99999999999999999999"}) {
    FRUGAL_EXPECT_ERROR(parse_protocol(id), StatusCode::kInvalidArgument, "perplexity protocol");
  }
}

TEST(ProtocolTest, LongerThanTheContextNamesTheRemedy) {
  FRUGAL_EXPECT_OK(check_context(protocol("gptq-256"), 256));
  FRUGAL_EXPECT_ERROR(check_context(protocol("gptq-2048"), 256), StatusCode::kInvalidArgument,
                      "set protocol: gptq-256");
  FRUGAL_EXPECT_ERROR(check_context(protocol("llamacpp-512"), 255), StatusCode::kInvalidArgument,
                      "set protocol: llamacpp-254");
}

TEST(ScoredWindowsTest, GptqJoinsCutsAndDropsTheTail) {
  const test::ByteTokenizer tokenizer(true, true);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScoredWindows windows,
      scored_windows(texts({"hello", "world!!"}), tokenizer, protocol("gptq-4")));
  EXPECT_EQ(windows.count(), 3);  // 14 ids: "hello\n\nworld!!"
  EXPECT_EQ(windows.stream_tokens, 14);
  EXPECT_EQ(tokenizer.decode(windows.ids), "hello\n\nworld");
  EXPECT_EQ(tokenizer.decode(windows.window(1)), "o\n\nw");
  EXPECT_EQ(windows.bos, "none");  // never, although this tokenizer adds one
  EXPECT_EQ(windows.text_sha256, base::sha256(std::string_view("hello\n\nworld!!")));
}

TEST(ScoredWindowsTest, LlamaCppPutsBosInFrontAndOverEveryWindow) {
  const test::ByteTokenizer adds(true, true);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ScoredWindows windows,
                              scored_windows(texts({"hello world"}), adds, protocol("llamacpp-4")));
  const text::TokenId bos = test::ByteTokenizer::kBos;
  const std::vector<text::TokenId> expected = {bos, 'h', 'e', 'l', bos, 'o',
                                               ' ', 'w', bos, 'r', 'l', 'd'};
  EXPECT_EQ(windows.ids, expected);
  EXPECT_EQ(windows.bos, "id 257 over the first id of every window");
}

// As llama-perplexity reads a file: its last line end is dropped, and what looks like a special
// piece is text; Hugging Face's tokenizers see the piece.
TEST(ScoredWindowsTest, LlamaCppTakesSpecialPiecesLiterally) {
  const test::ByteTokenizer tokenizer(true, false);
  const auto of = [&](const char* id) {
    return *scored_windows(texts({"x<s>y hello\n"}), tokenizer, protocol(id));
  };
  EXPECT_EQ(tokenizer.decode(of("llamacpp-4").ids), "x<s>y he");
  EXPECT_EQ(of("llamacpp-4").stream_tokens, 11);
  EXPECT_EQ(of("gptq-4").ids[1], test::ByteTokenizer::kBos);
  EXPECT_EQ(of("gptq-4").stream_tokens, 10);
}

// lm-evaluation-harness, get_rolling_token_windows with a context of 1 and the prefix in front: a
// window's inputs are at most 4, each token is predicted once.
TEST(ScoredWindowsTest, LmEvalRollsOverEachDocument) {
  const test::ByteTokenizer tokenizer;
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScoredWindows windows,
      scored_windows(texts({"hello, you", "", "hi  there"}), tokenizer, protocol("lmeval-4")));
  const text::TokenId bos = test::ByteTokenizer::kBos;
  const std::vector<std::vector<text::TokenId>> expected = {
      {bos, 'h', 'e', 'l', 'l'}, {'l', 'o', ',', ' ', 'y'}, {',', ' ', 'y', 'o', 'u'},
      {bos, 'h', 'i', ' ', ' '}, {' ', 't', 'h', 'e', 'r'}, {'t', 'h', 'e', 'r', 'e'}};
  ASSERT_EQ(windows.count(), 6);
  for (int64_t w = 0; w < 6; ++w) {
    const auto ids = windows.window(w);
    EXPECT_EQ(std::vector<text::TokenId>(ids.begin(), ids.end()), expected[static_cast<size_t>(w)]);
    EXPECT_EQ(sequences_of(windows)[static_cast<size_t>(w)].ids.size(), 4u);
  }
  EXPECT_EQ(windows.first, (std::vector<int64_t>{1, 1, 3, 1, 1, 4}));
  EXPECT_EQ(windows.document, (std::vector<int64_t>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(windows.words, (std::vector<double>{2, 2}));
  EXPECT_EQ(windows.bytes, (std::vector<double>{10, 9}));
  EXPECT_EQ(
      scored_windows(texts({"hello, you", "hi"}), tokenizer, protocol("lmeval-4"), {.windows = 1})
          ->count(),
      3);  // a whole document
}

TEST(ScoredWindowsTest, BosPolicyIsExplicit) {
  const test::ByteTokenizer has(true, false), none(false, false);
  const auto of = [&](const text::Tokenizer& tokenizer, BosPolicy policy) {
    return scored_windows(texts({"hello world"}), tokenizer, protocol("llamacpp-4"),
                          {.bos = policy});
  };
  EXPECT_EQ(of(has, BosPolicy::kTokenizer)->bos, "none");
  EXPECT_EQ(has.decode(of(has, BosPolicy::kTokenizer)->ids), "hello wo");
  EXPECT_EQ(of(has, BosPolicy::kAlways)->ids,
            of(test::ByteTokenizer(true, true), BosPolicy::kTokenizer)->ids);
  FRUGAL_EXPECT_ERROR(of(none, BosPolicy::kAlways), StatusCode::kInvalidArgument, "has no BOS");
  FRUGAL_EXPECT_ERROR(parse_bos_policy("sometimes"), StatusCode::kInvalidArgument, "never");
}

TEST(ScoredWindowsTest, LimitsAndShortTexts) {
  const test::ByteTokenizer tokenizer;
  EXPECT_EQ(
      scored_windows(texts({some_text()}), tokenizer, protocol("gptq-8"), {.windows = 5})->count(),
      5);
  FRUGAL_EXPECT_ERROR(scored_windows(texts({"short"}), tokenizer, protocol("gptq-8")),
                      StatusCode::kInvalidArgument, "has 5 tokens, one window needs 8");
}

// exp of the mean of -ln p over the protocol's positions, by plain loops in double.
double brute_perplexity(const model::Decoder& decoder, const ScoredWindows& windows,
                        std::optional<int64_t> begin = std::nullopt) {
  double sum = 0.0;
  int64_t count = 0;
  for (int64_t w = 0; w < windows.count(); ++w) {
    const auto ids = windows.window(w);
    const auto log_p = test::brute_log_probabilities(decoder, ids);
    for (int64_t t = begin.value_or(windows.first[static_cast<size_t>(w)]);
         t < static_cast<int64_t>(ids.size()); ++t, ++count)
      sum -= log_p[t - 1][ids[t]];
  }
  return std::exp(sum / static_cast<double>(count));
}

TEST(PerplexityTest, OfLmEvalCountsWordsAndBytesOfTheText) {
  const model::Decoder decoder = test::tiny_model(3);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScoredWindows windows,
      scored_windows(texts({some_text().substr(0, 50), "another  one\nab", "ab ab"}),
                     test::ByteTokenizer(), protocol("lmeval-32")));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Perplexity result, perplexity(decoder, windows, stream()));
  EXPECT_EQ(result.scored_tokens, 50 + 14 + 3);
  EXPECT_EQ(result.documents, 3);
  EXPECT_NEAR(result.value / brute_perplexity(decoder, windows), 1.0, 1e-5);
  const double nll = result.mean_nll * static_cast<double>(result.scored_tokens);
  ASSERT_TRUE(result.text.has_value());
  EXPECT_NEAR(result.text->word_perplexity / std::exp(nll / (1 + 3 + 2)), 1.0, 1e-12);
  EXPECT_NEAR(result.text->byte_perplexity / std::exp(nll / (50 + 15 + 5)), 1.0, 1e-12);
  EXPECT_NEAR(result.text->bits_per_byte, nll / (50 + 15 + 5) / std::log(2.0), 1e-12);
  ASSERT_TRUE(result.text->bits_interval.has_value());
  EXPECT_EQ(result.text->bits_interval->n, 3);
  // The first windows are no whole documents.
  EXPECT_FALSE(perplexity(decoder, first_windows(windows, 1), stream())->text.has_value());
}

// Pieces of one document depend on each other: they are resampled together.
TEST(PerplexityTest, IntervalsResampleDocuments) {
  const model::Decoder decoder = test::tiny_model(3);
  const auto of = [&](const std::vector<std::string>& contents) {
    return *perplexity(
        decoder, *scored_windows(texts(contents), test::ByteTokenizer(), protocol("documents-16")),
        stream());
  };
  const Perplexity one = of({some_text()});
  EXPECT_GT(one.windows, 10);
  EXPECT_EQ(one.documents, 1);
  EXPECT_FALSE(one.interval.has_value());
  const Perplexity two = of({some_text(), some_text().substr(7)});
  ASSERT_TRUE(two.interval.has_value());
  EXPECT_EQ(two.interval->n, 2);
}

// llama-perplexity's own error takes tokens for independent.
TEST(PerplexityTest, TokenErrorIsThatOfLlamaPerplexity) {
  const model::Decoder decoder = test::tiny_model(3);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScoredWindows windows,
      scored_windows(texts({some_text()}), test::ByteTokenizer(), protocol("llamacpp-32")));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Perplexity result, perplexity(decoder, windows, stream()));
  std::vector<double> nll;
  for (int64_t w = 0; w < windows.count(); ++w) {
    const auto ids = windows.window(w);
    const auto log_p = test::brute_log_probabilities(decoder, ids);
    for (size_t t = 17; t < ids.size(); ++t) nll.push_back(-log_p[t - 1][ids[t]]);
  }
  ASSERT_TRUE(result.token_error.has_value());
  EXPECT_NEAR(*result.token_error / (result.value * standard_error(nll)), 1.0, 1e-4);
}

TEST(PerplexityTest, MatchesBruteForceInDouble) {
  const model::Decoder decoder = test::tiny_model(3);
  const test::ByteTokenizer tokenizer(true, true);
  for (const auto& [id, begin] :
       {std::pair<const char*, int64_t>{"gptq-32", 1}, {"llamacpp-32", 17}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const ScoredWindows windows,
                                scored_windows(texts({some_text()}), tokenizer, protocol(id)));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Perplexity result,
                                perplexity(decoder, windows, stream(), {.batch = 4}));
    // Mean of ln p known to 1e-5 (scoring_test): the same relative error here.
    EXPECT_NEAR(result.value / brute_perplexity(decoder, windows, begin), 1.0, 1e-5) << id;
    EXPECT_EQ(result.protocol, id);
    EXPECT_EQ(result.windows, 9);
    EXPECT_EQ(result.scored_tokens, 9 * windows.scored(0));
    EXPECT_EQ(result.window_nll.size(), 9u);
    ASSERT_TRUE(result.interval.has_value());
    EXPECT_LT(result.interval->low, result.value);
    EXPECT_GT(result.interval->high, result.value);
    EXPECT_EQ(result.interval->n, 9);
  }
}

TEST(ScoredWindowsTest, DocumentsStandAloneAndEveryTokenIsScoredOnce) {
  const test::ByteTokenizer tokenizer;
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScoredWindows windows,
      scored_windows(texts({"hello", "", "world!"}), tokenizer, protocol("documents-4")));
  const text::TokenId bos = test::ByteTokenizer::kBos;
  const std::vector<std::vector<text::TokenId>> expected = {
      {bos, 'h', 'e', 'l'}, {'l', 'l', 'o'}, {bos, 'w', 'o', 'r'}, {'r', 'l', 'd', '!'}};
  ASSERT_EQ(windows.count(), 4);
  for (int64_t w = 0; w < 4; ++w) {
    const auto ids = windows.window(w);
    EXPECT_EQ(std::vector<text::TokenId>(ids.begin(), ids.end()), expected[static_cast<size_t>(w)]);
  }
  EXPECT_EQ(windows.scored(0) + windows.scored(1) + windows.scored(2) + windows.scored(3), 11);
  EXPECT_EQ(windows.bos, "id 257 before every document");
  // Without BOS an EOS stands in front: this tokenizer has one.
  EXPECT_EQ(
      scored_windows(texts({"hi"}), test::ByteTokenizer(false), protocol("documents-4"))->ids[0],
      test::ByteTokenizer::kEos);
  FRUGAL_EXPECT_ERROR(scored_windows(texts({""}), tokenizer, protocol("documents-4")),
                      StatusCode::kInvalidArgument, "no document has a token");
}

TEST(ScoredWindowsTest, OfAPromptOnlyTheCompletionIsScored) {
  text::Example example;
  example.prompt = "12345a";
  example.completion = "b6789";  // "ab" is one token: it belongs to the completion
  const ScoredWindows whole =
      *scored_windows({example}, test::ByteTokenizer(), protocol("documents-32"));
  ASSERT_EQ(whole.count(), 1);
  EXPECT_EQ(whole.first[0], 6);  // behind BOS and 12345
  EXPECT_EQ(whole.scored(0), 5);
  const ScoredWindows pieces =
      *scored_windows({example}, test::ByteTokenizer(), protocol("documents-4"));
  // BOS 1 2 3 | 3 4 5 ab | ab 6 7 8 | 8 9: the first piece is all prompt.
  ASSERT_EQ(pieces.count(), 3);
  EXPECT_EQ(pieces.first, (std::vector<int64_t>{3, 1, 1}));
  EXPECT_EQ(pieces.scored(0) + pieces.scored(1) + pieces.scored(2), 5);
}

TEST(PerplexityTest, OfDocumentsWeighsTokensNotDocuments) {
  const model::Decoder decoder = test::tiny_model(3);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScoredWindows windows,
      scored_windows(texts({some_text().substr(0, 90), "short", "another one"}),
                     test::ByteTokenizer(), protocol("documents-32")));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Perplexity result,
                              perplexity(decoder, windows, stream(), {.batch = 3}));
  EXPECT_EQ(result.scored_tokens, 90 + 5 + 11);
  EXPECT_NEAR(result.value / brute_perplexity(decoder, windows), 1.0, 1e-5);
}

TEST(PerplexityTest, RefusesWindowsBeyondTheContext) {
  const test::ByteTokenizer tokenizer;
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const ScoredWindows windows,
      scored_windows(texts({some_text()}), tokenizer, protocol("gptq-128")));
  FRUGAL_EXPECT_ERROR(perplexity(test::tiny_model(1), windows, stream()),
                      StatusCode::kInvalidArgument, "set protocol: gptq-64");
}

// The novels as their README reads them: the byte-order mark stays, CRLF becomes LF.
std::vector<text::Example> novel(const std::filesystem::path& path) {
  const std::string bytes = *base::read_file(path);
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes.compare(i, 2, "\r\n") != 0) text += bytes[i];
  }
  return texts({text});
}

struct NovelReference {
  const char* name;
  int64_t ids;
  double gptq, llamacpp;  // 0: not computed here, for time; README of novels-7m: transformers 5.23,
                          // fp32, the first 20,480 ids
};

// Their fp32 engines differ from each other by 2.5e-5 in a logit; a mean over
// 10,000 tokens by far less. The README prints six digits.
constexpr double kReferenceTolerance = 2e-5;

void check_novel(const NovelReference& reference) {
  FRUGAL_SHARED_DATA_OR_SKIP(folder, "novels-7m/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(novels, "english-novels-100");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, format::Checkpoint::open(folder));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto decoder, model::Decoder::load(checkpoint, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(folder));
  ASSERT_EQ(tokenizer->vocabulary().bos, 0);
  std::filesystem::path path;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(novels)) {
    if (entry.path().stem() == reference.name) path = entry.path();
  }
  ASSERT_FALSE(path.empty()) << reference.name;
  const auto examples = novel(path);
  const auto mean_nll = [&](std::string_view id) {
    const auto windows = scored_windows(examples, *tokenizer, protocol(id),
                                        {.windows = 80, .bos = BosPolicy::kAlways});
    EXPECT_TRUE(windows.ok()) << windows.status();
    // The BOS comes, the last line end goes.
    const bool llamacpp = windows->bos != "none";
    const bool line_end = examples[0].completion.ends_with('\n');
    EXPECT_EQ(windows->stream_tokens, reference.ids + (llamacpp && !line_end ? 1 : 0));
    const auto result = perplexity(decoder, *windows, stream());
    EXPECT_TRUE(result.ok()) << result.status();
    return result->mean_nll;
  };
  if (reference.gptq > 0) {
    EXPECT_NEAR(mean_nll("gptq-256"), reference.gptq, kReferenceTolerance);
  }
  EXPECT_NEAR(mean_nll("llamacpp-256"), reference.llamacpp, kReferenceTolerance);
}

TEST(PerplexityTest, ReproducesTheReadmeOnBennet) {
  check_novel({"Bennet_Helen_1910", 86668, 3.848142, 3.825883});
}
TEST(PerplexityTest, ReproducesTheReadmeOnWoolf) {
  check_novel({"Woolf_Night_1919", 253319, 0, 3.784659});
}

}  // namespace
}  // namespace frugal::evaluate
