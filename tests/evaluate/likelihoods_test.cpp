#include "evaluate/likelihoods.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "evaluate/test_models.h"
#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

using Ids = std::vector<text::TokenId>;
using tasks::EncodedRequest;
using Questions = std::vector<std::vector<EncodedRequest>>;

constexpr double kFloatNoise = 1e-5;  // per log-probability, see scoring_test

Ids drawn(base::RandomStream& random, size_t count) {
  Ids ids;
  for (size_t i = 0; i < count; ++i) ids.push_back(static_cast<text::TokenId>(random.below(256)));
  return ids;
}

// `examples` ids that all begin with, contexts and choices of many lengths.
Questions questions_behind(size_t examples, uint64_t seed) {
  base::RandomStream random(seed, "test/likelihoods");
  const Ids begin = drawn(random, examples);
  Questions questions;
  for (size_t q = 0; q < 6; ++q) {
    Ids context = begin;
    const Ids own = drawn(random, 1 + 2 * q);
    context.insert(context.end(), own.begin(), own.end());
    std::vector<EncodedRequest>& requests = questions.emplace_back();
    for (size_t choice = 0; choice < 3; ++choice) {
      Ids ids = context;
      const Ids more = drawn(random, q == 0 ? 1 : 1 + (q * choice) % 5);
      ids.insert(ids.end(), more.begin(), more.end());
      requests.push_back({ids, static_cast<int64_t>(more.size())});
    }
  }
  return questions;
}

// The most probable id and the log-likelihood by plain loops in double, each request by itself.
void expect_brute(const model::Decoder& decoder, const Questions& questions,
                  const std::vector<std::vector<Likelihood>>& result) {
  ASSERT_EQ(result.size(), questions.size());
  for (size_t q = 0; q < questions.size(); ++q) {
    for (size_t r = 0; r < questions[q].size(); ++r) {
      const EncodedRequest& request = questions[q][r];
      const Ids input(request.ids.begin(), request.ids.end() - 1);
      const auto log_p = test::brute_log_probabilities(decoder, input);
      double sum = 0.0;
      bool greedy = true;
      for (size_t t = request.ids.size() - static_cast<size_t>(request.scored);
           t < request.ids.size(); ++t) {
        const auto& row = log_p[t - 1];
        const auto target = static_cast<size_t>(request.ids[t]);
        sum += row[target];
        greedy = greedy && std::max_element(row.begin(), row.end()) - row.begin() ==
                               static_cast<std::ptrdiff_t>(target);
      }
      EXPECT_NEAR(result[q][r].log_likelihood, sum,
                  kFloatNoise * static_cast<double>(request.scored));
      EXPECT_EQ(result[q][r].greedy, greedy);
      EXPECT_EQ(result[q][r].tokens, request.scored);
    }
  }
}

// Without examples, and behind examples that run once for all.
TEST(Likelihoods, AreThoseOfEachRequestByItself) {
  const model::Decoder decoder = test::tiny_model(1);
  for (const size_t examples : {0, 5, 40}) {
    const Questions questions = questions_behind(examples, examples + 1);
    for (const int64_t batch : {1, 4, 100}) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(
          const auto result, likelihoods(decoder, questions, {.batch = batch, .head_rows = 7}));
      expect_brute(decoder, questions, result);
    }
  }
}

TEST(Likelihoods, KnowWhatGreedyDecodingGives) {
  const model::Decoder decoder = test::tiny_model(3);
  base::RandomStream random(1, "test/greedy");
  const Ids context = drawn(random, 4);
  Ids best = context;
  for (int step = 0; step < 3; ++step) {
    const auto log_p = test::brute_log_probabilities(decoder, best).back();
    best.push_back(
        static_cast<text::TokenId>(std::max_element(log_p.begin(), log_p.end()) - log_p.begin()));
  }
  Ids other = best;
  other.back() = (other.back() + 1) % 256;
  const Questions questions = {{{best, 3}, {other, 3}}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, likelihoods(decoder, questions));
  EXPECT_TRUE(result[0][0].greedy);
  EXPECT_FALSE(result[0][1].greedy);
}

// A window counts along the row, where branches stand behind each other: such rows are not shared
// beyond it.
TEST(Likelihoods, HoldForModelsWithWindows) {
  architecture::ModelConfig config = test::tiny_config();
  for (const int64_t window : {3, 8, 30}) {
    config.layers[1].attention.window = window;
    const model::Decoder decoder = test::tiny_model(5, config);
    const Questions questions = questions_behind(34, 9);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result, likelihoods(decoder, questions));
    expect_brute(decoder, questions, result);
  }
}

TEST(Likelihoods, RefuseWhatDoesNotFitTheModel) {
  const model::Decoder decoder = test::tiny_model(1);
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(likelihoods(decoder, Questions{{{Ids(70, 1), 1}}}), kInvalid,
                      "question 0 has 69 tokens, the model's context holds 64");
  FRUGAL_EXPECT_ERROR(likelihoods(decoder, Questions{{{{1, 999}, 1}}}), kInvalid,
                      "id 999 is outside");
  FRUGAL_EXPECT_ERROR(likelihoods(decoder, Questions{{{{1, 2}, 2}}}), absl::StatusCode::kInternal,
                      "2 of 2 ids are scored");
  EXPECT_TRUE(likelihoods(decoder, Questions{})->empty());
}

}  // namespace
}  // namespace frugal::evaluate
