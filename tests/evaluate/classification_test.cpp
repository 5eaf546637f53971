#include "evaluate/classification.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "evaluate/test_models.h"
#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

using absl::StatusCode;
using test::ByteTokenizer;

constexpr double kFloatNoise = 1e-5;  // per log-probability, see scoring_test

base::RandomStream stream() { return base::RandomStream(1, "test/classification"); }

text::Example example(std::string prompt, std::vector<std::string> labels, std::string label) {
  text::Example result;
  result.id = "item/" + prompt;
  result.prompt = std::move(prompt);
  result.label_texts = std::move(labels);
  result.label = std::move(label);
  return result;
}

// Sum of ln p of ids[begin..] given what is before them, by plain loops in double.
double brute_score(const model::Decoder& decoder, const std::vector<text::TokenId>& ids,
                   size_t begin) {
  const auto log_p = test::brute_log_probabilities(decoder, ids);
  double sum = 0.0;
  for (size_t t = begin; t < ids.size(); ++t) sum += log_p[t - 1][ids[t]];
  return sum;
}

std::vector<text::TokenId> with_bos(const std::string& text) {
  auto ids = ByteTokenizer().encode(text, false);
  ids.insert(ids.begin(), ByteTokenizer::kBos);
  return ids;
}

TEST(ClassifyTest, ScoresAreSumsOfLogProbabilities) {
  const model::Decoder decoder = test::tiny_model(4);
  const std::string prompt = "it was fine. Sentiment:";
  const auto result =
      classify(decoder, ByteTokenizer(), {example(prompt, {" good", " bad!"}, " bad!")}, stream());
  ASSERT_TRUE(result.ok()) << result.status();
  const ClassificationItem& item = result->items.at(0);
  const size_t begin = prompt.size() + 1;
  EXPECT_NEAR(item.scores[0], brute_score(decoder, with_bos(prompt + " good"), begin),
              5 * kFloatNoise);
  EXPECT_NEAR(item.scores[1], brute_score(decoder, with_bos(prompt + " bad!"), begin),
              5 * kFloatNoise);
  EXPECT_EQ(item.tokens, (std::vector<int64_t>{5, 5}));
  EXPECT_EQ(item.predicted, item.scores[1] > item.scores[0] ? " bad!" : " good");
  EXPECT_EQ(item.right, item.predicted == " bad!");
}

// "…a" + "b" is one token "ab", "…a" + "c" two: both labels must be scored from the context before
// the "a".
TEST(ClassifyTest, TokenizesPromptAndLabelTogether) {
  const model::Decoder decoder = test::tiny_model(4);
  const auto result =
      classify(decoder, ByteTokenizer(), {example("xya", {"b", "c"}, "b")}, stream());
  ASSERT_TRUE(result.ok()) << result.status();
  const ClassificationItem& item = result->items.at(0);
  const text::TokenId bos = ByteTokenizer::kBos;
  EXPECT_NEAR(item.scores[0], brute_score(decoder, {bos, 'x', 'y', ByteTokenizer::kAb}, 3),
              kFloatNoise);
  EXPECT_NEAR(item.scores[1], brute_score(decoder, {bos, 'x', 'y', 'a', 'c'}, 3), 2 * kFloatNoise);
  EXPECT_EQ(item.tokens, (std::vector<int64_t>{1, 2}));
}

TEST(ClassifyTest, WorksWithoutABosWhereThereIsAPrompt) {
  const model::Decoder decoder = test::tiny_model(4);
  const ByteTokenizer plain(false);
  const auto result = classify(decoder, plain, {example("xy", {"1", "2"}, "2")}, stream());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->items[0].scores[1], brute_score(decoder, {'x', 'y', '2'}, 2), kFloatNoise);
  FRUGAL_EXPECT_ERROR(classify(decoder, plain, {example("", {"1", "2"}, "2")}, stream()),
                      StatusCode::kInvalidArgument, "give the data a prompt");
}

std::vector<text::Example> mixed_examples() {
  std::vector<text::Example> result;
  for (int i = 0; i < 12; ++i) {
    const std::string prompt(static_cast<size_t>(2 + (i * 17) % 40), static_cast<char>('a' + i));
    result.push_back(example(prompt, {" yes", " no", " perhaps"}, i % 2 ? " no" : " yes"));
  }
  return result;
}

TEST(ClassifyTest, ABatchOfUnequalTextsScoresAsSingles) {
  const model::Decoder decoder = test::tiny_model(5);
  const auto examples = mixed_examples();
  const auto together = classify(decoder, ByteTokenizer(), examples, stream(), {.batch = 7});
  ASSERT_TRUE(together.ok()) << together.status();
  for (size_t i = 0; i < examples.size(); ++i) {
    const auto alone = classify(decoder, ByteTokenizer(), {examples[i]}, stream(), {.batch = 1});
    for (size_t label = 0; label < 3; ++label) {
      EXPECT_NEAR(together->items[i].scores[label], alone->items[0].scores[label], 8 * kFloatNoise);
    }
    EXPECT_EQ(together->items[i].predicted, alone->items[0].predicted);
    EXPECT_EQ(together->items[i].id, examples[i].id);
  }
}

TEST(ClassifyTest, RefusesWhatIsNoClassification) {
  const model::Decoder decoder = test::tiny_model(4);
  const auto status = [&](const text::Example& one) {
    return classify(decoder, ByteTokenizer(), {one}, stream()).status();
  };
  FRUGAL_EXPECT_ERROR(status(example("x", {}, "")), StatusCode::kInvalidArgument,
                      "0 candidate labels");
  FRUGAL_EXPECT_ERROR(status(example("x", {"a", "b"}, "c")), StatusCode::kInvalidArgument,
                      "none of its candidates");
  FRUGAL_EXPECT_ERROR(status(example("x", {"", "b"}, "b")), StatusCode::kInvalidArgument,
                      "no token of its own");
  FRUGAL_EXPECT_ERROR(status(example(std::string(64, 'x'), {"1", "2"}, "1")),
                      StatusCode::kInvalidArgument, "context holds 64");
  FRUGAL_EXPECT_ERROR(classify(decoder, ByteTokenizer(), {}, stream()),
                      StatusCode::kInvalidArgument, "no examples");
}

ClassificationItem item(std::string label, std::string predicted, std::vector<double> scores) {
  return {"", label, predicted, label == predicted, {"p", "n"}, std::move(scores), {}};
}

// Truth p p p n n, predicted p p n n p: F1(p) = 2*2/(3+3) = 2/3, F1(n) = 2*1/(2+2) = 1/2.
std::vector<ClassificationItem> five_items() {
  const double l3 = std::log(3.0);  // odds of 3: confidence 0.75
  return {item("p", "p", {l3, 0}), item("p", "p", {l3, 0}), item("p", "n", {0, l3}),
          item("n", "n", {0, l3}), item("n", "p", {l3, 0})};
}

TEST(SummaryTest, AccuracyF1AndCalibrationByHand) {
  const Classification result = summarize_classification(five_items(), stream());
  EXPECT_DOUBLE_EQ(result.accuracy, 0.6);
  EXPECT_DOUBLE_EQ(result.macro_f1, (2.0 / 3.0 + 0.5) / 2.0);
  EXPECT_NEAR(result.calibration_error, 0.15, 1e-12);  // all in one bin: |0.6 - 0.75|
  EXPECT_DOUBLE_EQ(result.accuracy_interval.low, wilson_interval(3, 5).low);
  EXPECT_EQ(result.accuracy_interval.n, 5);
  ASSERT_TRUE(result.macro_f1_interval.has_value());
  EXPECT_LE(result.macro_f1_interval->low, result.macro_f1);
  EXPECT_GE(result.macro_f1_interval->high, result.macro_f1);
}

TEST(SummaryTest, F1CountsLabelsThatOccur) {
  const auto items = five_items();
  const std::vector<int64_t> only_p = {0, 1, 1};
  EXPECT_DOUBLE_EQ(macro_f1(items, only_p), 1.0);
  const std::vector<int64_t> confused = {2, 4};  // p taken for n and n for p
  EXPECT_DOUBLE_EQ(macro_f1(items, confused), 0.0);
}

}  // namespace
}  // namespace frugal::evaluate
