#include "evaluate/generation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "evaluate/test_models.h"
#include "model/generate.h"
#include "support/shared_data.h"
#include "tasks/text_metrics.h"

namespace frugal::evaluate {
namespace {

using absl::StatusCode;
using test::ByteTokenizer;

base::RandomStream stream() { return base::RandomStream(1, "test/generation"); }

text::Example example(std::string prompt, std::vector<std::string> attributes,
                      std::string completion = "") {
  text::Example result;
  result.id = "item/" + prompt;
  result.prompt = std::move(prompt);
  result.attributes = std::move(attributes);
  result.completion = std::move(completion);
  return result;
}

TEST(MentionsTest, LooksForWholeWordsInARow) {
  EXPECT_TRUE(mentions("A Soft-touch cover, in red.", "soft touch"));
  EXPECT_TRUE(mentions("red", "RED"));
  EXPECT_FALSE(mentions("A covered box", "red"));
  EXPECT_FALSE(mentions("soft and touch", "soft touch"));
  EXPECT_TRUE(mentions("20 cm wide", "20 cm"));
  EXPECT_TRUE(mentions("ein süßer Duft", "süßer"));
  EXPECT_FALSE(mentions("anything", ""));
  EXPECT_FALSE(mentions("", "red"));
}

TEST(WordsTest, AreLowerCasedRunsOfLettersAndDigits) {
  EXPECT_EQ(words("It's 5 O'Clock!"), (std::vector<std::string>{"it", "s", "5", "o", "clock"}));
  EXPECT_TRUE(words(" -- ").empty());
}

TEST(DistinctTest, CountsWithinTextsByHand) {
  const std::vector<std::string> texts = {"a b a b", "a b c"};
  EXPECT_DOUBLE_EQ(distinct_n(texts, 1), 3.0 / 7.0);
  EXPECT_DOUBLE_EQ(distinct_n(texts, 2), 3.0 / 5.0);  // ab ba ab | ab bc
  EXPECT_TRUE(std::isnan(distinct_n({"a"}, 2)));
}

TEST(JudgeTest, CoverageIsTheShareMentioned) {
  const GenerationItem item = judge_generation(example("p", {"red", "oak table", "20 cm", "wool"}),
                                               "A red thing, 20 cm wide, of Wool");
  EXPECT_EQ(item.mentioned, (std::vector<bool>{true, false, true, true}));
  EXPECT_DOUBLE_EQ(item.coverage, 0.75);
}

TEST(SummaryTest, MeansAndRatios) {
  std::vector<GenerationItem> items;
  items.push_back(judge_generation(example("p", {"red"}, "one two three four"), "red red"));
  items.push_back(judge_generation(example("q", {"red"}, "one two three four"), "blue"));
  const Generation result = summarize_generation(items, stream());
  EXPECT_DOUBLE_EQ(result.coverage, 0.5);
  EXPECT_DOUBLE_EQ(result.length_ratio, 3.0 / 8.0);
  EXPECT_DOUBLE_EQ(result.distinct_1, 2.0 / 3.0);
  ASSERT_TRUE(result.coverage_interval.has_value());
  EXPECT_EQ(result.coverage_interval->low, 0.0);
  EXPECT_EQ(result.coverage_interval->high, 1.0);
  items[0].references.clear();
  items[1].references.clear();
  EXPECT_TRUE(std::isnan(summarize_generation(items, stream()).length_ratio));
}

TEST(SummaryTest, TextsAreComparedWithTheirReferences) {
  std::vector<GenerationItem> items;
  items.push_back(judge_generation(example("p", {}, "a b c d e f"), "a b c d e f"));
  items.push_back(judge_generation(example("q", {}, "g h i j"), "g h x j j j j j"));
  const Generation result = summarize_generation(items, stream());
  ASSERT_EQ(result.scores.size(), 4u);
  std::map<std::string, TextScore> scores;
  for (const TextScore& score : result.scores) scores[score.name] = score;
  const std::vector<std::string> first = {"a b c d e f"}, second = {"g h i j"};
  tasks::BleuCounts counts = tasks::bleu_counts(items[0].generated, first);
  counts += tasks::bleu_counts(items[1].generated, second);
  EXPECT_DOUBLE_EQ(scores["bleu"].value, tasks::bleu(counts));  // of the corpus, no mean
  EXPECT_EQ(scores["bleu"].signature, "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp");
  EXPECT_DOUBLE_EQ(scores["rouge_l"].value,
                   0.5 * (1.0 + tasks::rouge_l(items[1].generated, second)));
  ASSERT_TRUE(scores["bleu"].interval.has_value());
  EXPECT_LT(scores["bleu"].interval->low, scores["bleu"].value);
  EXPECT_GT(scores["bleu"].interval->high, scores["bleu"].value);
  EXPECT_TRUE(std::isnan(result.coverage));
  EXPECT_DOUBLE_EQ(result.repetition_4, 0.5 * (1.0 - 4.0 / 5.0));  // j j j j twice of five
  items[1].references.clear();
  EXPECT_TRUE(summarize_generation(items, stream()).scores.empty());
}

// One text is written for a prompt, and compared with all that people wrote for it.
TEST(ByPromptTest, CompletionsOfOnePromptAreItsReferences) {
  const auto asked =
      by_prompt({example("p", {}, "one"), example("q", {}, "two"), example("p", {}, "three"),
                 example("r", {"red"}, "four"), example("r", {"blue"}, "five")});
  ASSERT_EQ(asked.size(), 4u);
  EXPECT_EQ(asked[0].references, (std::vector<std::string>{"one", "three"}));
  EXPECT_EQ(asked[1].references, (std::vector<std::string>{"two"}));
  EXPECT_EQ(asked[3].example.attributes, (std::vector<std::string>{"blue"}));
}

TEST(GenerateTest, ContinuesEachPromptGreedily) {
  const model::Decoder decoder = test::tiny_model(6);
  const ByteTokenizer tokenizer;
  std::vector<text::Example> examples;
  for (const char* prompt : {"hello", "a much longer prompt", "x"})
    examples.push_back(example(prompt, {"red"}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Generation result,
                              generate_and_judge(decoder, tokenizer, examples, stream(),
                                                 {.max_new_tokens = 12, .batch = 2}));
  ASSERT_EQ(result.items.size(), 3u);
  for (size_t i = 0; i < examples.size(); ++i) {
    std::vector<text::TokenId> ids = tokenizer.encode(examples[i].prompt, false);
    ids.insert(ids.begin(), ByteTokenizer::kBos);
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto alone,
        model::generate(decoder, {ids}, {.max_new_tokens = 12, .stop = {ByteTokenizer::kEos}},
                        stream()));
    EXPECT_EQ(result.items[i].generated, tokenizer.decode(alone[0]));
    EXPECT_EQ(result.items[i].id, examples[i].id);
  }
}

TEST(GenerateTest, RefusesWhatDoesNotFit) {
  const model::Decoder decoder = test::tiny_model(6);
  const auto status = [&](const text::Example& one, bool bos = true) {
    return generate_and_judge(decoder, ByteTokenizer(bos), {one}, stream(), {.max_new_tokens = 10})
        .status();
  };
  FRUGAL_EXPECT_ERROR(status(example("x", {})), StatusCode::kInvalidArgument,
                      "neither attributes to look for in a generated text nor a completion");
  FRUGAL_EXPECT_ERROR(status(example("", {"red"}), false), StatusCode::kInvalidArgument,
                      "empty prompt");
  FRUGAL_EXPECT_ERROR(status(example(std::string(54, 'x'), {"red"})), StatusCode::kInvalidArgument,
                      "lower max_new_tokens");
  FRUGAL_EXPECT_ERROR(generate_and_judge(decoder, ByteTokenizer(), {}, stream()),
                      StatusCode::kInvalidArgument, "no examples");
}

}  // namespace
}  // namespace frugal::evaluate
