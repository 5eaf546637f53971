#include "evaluate/task_answers.h"

#include <gtest/gtest.h>

#include <numeric>

#include "evaluate/test_models.h"
#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

using tasks::Question;
using tasks::TaskConfig;
using test::ByteTokenizer;

constexpr double kFloatNoise = 1e-5;

double brute(const model::Decoder& decoder, const std::vector<text::TokenId>& ids, size_t from) {
  const auto log_p = test::brute_log_probabilities(decoder, ids);
  double sum = 0.0;
  for (size_t t = from; t < ids.size(); ++t) sum += log_p[t - 1][ids[t]];
  return sum;
}

TEST(TaskAnswers, ScoreChoicesBehindTheirContext) {
  const model::Decoder decoder = test::tiny_model(1);
  const ByteTokenizer tokenizer;
  TaskConfig task{.type = tasks::OutputType::kMultipleChoice};
  Question question{.id = "t/0", .context = "Is it? ", .continuations = {"yes", "no"}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto answers,
                              answer(decoder, tokenizer, task, std::span(&question, 1)));
  ASSERT_EQ(answers.size(), 1u);
  // The space moves to the continuation.
  EXPECT_NEAR(answers[0].log_likelihoods[0],
              brute(decoder, tokenizer.encode("Is it? yes", false), 6), 4 * kFloatNoise);
  EXPECT_NEAR(answers[0].log_likelihoods[1],
              brute(decoder, tokenizer.encode("Is it? no", false), 6), 3 * kFloatNoise);
}

TEST(TaskAnswers, SumTheWindowsOfAText) {
  const model::Decoder decoder = test::tiny_model(2);
  const ByteTokenizer tokenizer;
  TaskConfig task{.type = tasks::OutputType::kRolling};
  const std::string text(100, 'x');  // two windows of 64
  Question question{.id = "t/0", .continuations = {text}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto answers,
                              answer(decoder, tokenizer, task, std::span(&question, 1)));
  auto ids = tokenizer.encode(text, false);
  std::vector<text::TokenId> first(ids.begin(), ids.begin() + 64);
  first.insert(first.begin(), ByteTokenizer::kBos);
  // Behind 64 scored ids come 36, with as much in front of them as the context holds.
  const std::vector<text::TokenId> second(ids.begin() + 35, ids.end());
  const auto log_p = [&](const std::vector<text::TokenId>& all, size_t from) {
    const std::vector<text::TokenId> input(all.begin(), all.end() - 1);
    const auto rows = test::brute_log_probabilities(decoder, input);
    double sum = 0.0;
    for (size_t t = from; t < all.size(); ++t) sum += rows[t - 1][all[t]];
    return sum;
  };
  EXPECT_NEAR(answers[0].log_likelihoods[0], log_p(first, 1) + log_p(second, second.size() - 36),
              100 * kFloatNoise);
}

// Ids of the greedy text, cut in front of a stop sequence that the model writes itself.
TEST(TaskAnswers, GenerateUpToAStop) {
  const model::Decoder decoder = test::tiny_model(4);
  const ByteTokenizer tokenizer;
  TaskConfig task{.type = tasks::OutputType::kGenerateUntil};
  task.generation = {.until = {}, .max_new_tokens = 12};
  const std::vector<Question> questions = {{.id = "t/0", .context = "How much?"},
                                           {.id = "t/1", .context = "And then there was"}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto whole,
                              answer(decoder, tokenizer, task, questions, {.batch = 1}));
  ASSERT_GE(whole[0].text.size(), 6u);
  task.generation.until = {"never written", whole[0].text.substr(3, 2)};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto stopped, answer(decoder, tokenizer, task, questions));
  EXPECT_EQ(stopped[0].text,
            whole[0].text.substr(0, whole[0].text.find(whole[0].text.substr(3, 2))));
  task.generation.max_new_tokens = 64;
  FRUGAL_EXPECT_ERROR(answer(decoder, tokenizer, task, questions),
                      absl::StatusCode::kInvalidArgument,
                      "t/0: answers of up to 64 tokens leave no room");
}

}  // namespace
}  // namespace frugal::evaluate
