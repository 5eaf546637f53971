#include "model/generate.h"

#include <cmath>
#include <map>

#include "base/interrupt.h"
#include "model/toy.h"

namespace frugal::model {
namespace {

using text::TokenId;
using Sequence = std::vector<TokenId>;

Sequence prompt(int64_t length, std::string_view name) {
  const at::Tensor ids = toy::ids(1, length, name);
  return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + length};
}

absl::StatusOr<std::vector<Sequence>> run(const Decoder& decoder,
                                          const std::vector<Sequence>& prompts,
                                          const GenerateOptions& options, uint64_t seed = 1) {
  return generate(decoder, prompts, options, base::RandomStream(seed, "test"));
}

// Greedy without a cache: the whole sequence again for every token.
Sequence greedy_by_hand(const Decoder& decoder, Sequence ids, int64_t count) {
  Sequence result;
  for (int64_t i = 0; i < count; ++i) {
    const at::Tensor all =
        at::tensor(std::vector<int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(0);
    const auto next =
        static_cast<TokenId>(decoder.logits({all, {}})[0][-1].argmax().item<int64_t>());
    ids.push_back(next);
    result.push_back(next);
  }
  return result;
}

TEST(Generate, GreedyEqualsFullForwards) {
  const Decoder decoder = toy::decoder();
  const Sequence start = prompt(7, "a");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto results, run(decoder, {start}, {.max_new_tokens = 20}));
  EXPECT_EQ(results.at(0), greedy_by_hand(decoder, start, 20));
}

TEST(Generate, TellsTokensAsTheyCome) {
  const Decoder decoder = toy::decoder();
  const std::vector<Sequence> prompts = {prompt(5, "a"), prompt(2, "b")};
  std::map<size_t, Sequence> told;
  GenerateOptions options{.max_new_tokens = 12};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto plain, run(decoder, prompts, options));
  options.stop = {plain[0][4]};  // one answer ends early; its end is not told
  options.on_token = [&](size_t which, TokenId id) { told[which].push_back(id); };
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto results, run(decoder, prompts, options));
  for (size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(told[i], results[i]);
  EXPECT_LE(told[0].size(), 4u);
}

TEST(Generate, PromptsOfUnequalLengthEqualSingleOnes) {
  const Decoder decoder = toy::decoder();
  const std::vector<Sequence> prompts = {prompt(3, "a"), prompt(11, "b"), prompt(1, "c"),
                                         prompt(11, "d")};
  const GenerateOptions options{.max_new_tokens = 16};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto together, run(decoder, prompts, options));
  for (size_t i = 0; i < prompts.size(); ++i) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto alone, run(decoder, {prompts[i]}, options));
    EXPECT_EQ(together.at(i), alone.at(0)) << i;
  }
}

TEST(Generate, ManyPromptsKeepTheirOrder) {
  const Decoder decoder = toy::decoder();
  std::vector<Sequence> prompts;
  for (int64_t i = 0; i < 70; ++i) prompts.push_back(prompt(1 + i % 4, base::str_cat("p", i)));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto results, run(decoder, prompts, {.max_new_tokens = 3}));
  ASSERT_EQ(results.size(), prompts.size());
  for (const size_t i : {0u, 63u, 64u, 69u}) {
    EXPECT_EQ(results[i], greedy_by_hand(decoder, prompts[i], 3)) << i;
  }
}

TEST(Generate, StopIdsEndASequenceAndAreNotReturned) {
  const Decoder decoder = toy::decoder();
  const Sequence start = prompt(7, "a");
  const Sequence free = greedy_by_hand(decoder, start, 12);
  const TokenId stop = free[5];
  const auto first = static_cast<size_t>(std::find(free.begin(), free.end(), stop) - free.begin());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto stopped,
                              run(decoder, {start}, {.max_new_tokens = 12, .stop = {stop}}));
  EXPECT_EQ(stopped.at(0), Sequence(free.begin(), free.begin() + static_cast<ptrdiff_t>(first)));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto ignored,
      run(decoder, {start}, {.max_new_tokens = 12, .stop = {stop}, .ignore_stop = true}));
  EXPECT_EQ(ignored.at(0), free);
}

TEST(Generate, SamplingFollowsTheSoftmax) {
  const Decoder decoder = toy::decoder();
  const Sequence start = prompt(4, "a");
  constexpr double kTemperature = 1.5;
  constexpr int64_t kDraws = 4000;
  const at::Tensor all =
      at::tensor(std::vector<int64_t>(start.begin(), start.end()), at::kLong).unsqueeze(0);
  const at::Tensor p =
      (decoder.logits({all, {}})[0][-1].to(at::kDouble) / kTemperature).softmax(-1);
  const std::vector<Sequence> prompts(kDraws, start);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto results,
      run(decoder, prompts, {.max_new_tokens = 1, .temperature = kTemperature}));
  std::map<TokenId, int64_t> counts;
  for (const Sequence& result : results) ++counts[result.at(0)];
  for (int64_t id = 0; id < toy::kVocabulary; ++id) {
    const double expected = p[id].item<double>() * kDraws;
    const double deviation = std::sqrt(expected * (1 - p[id].item<double>()));
    EXPECT_NEAR(static_cast<double>(counts[static_cast<TokenId>(id)]), expected, 5 * deviation + 1)
        << id;
  }
}

TEST(Generate, ANarrowNucleusIsGreedy) {
  const Decoder decoder = toy::decoder();
  const Sequence start = prompt(7, "a");
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const auto results,
      run(decoder, {start}, {.max_new_tokens = 10, .temperature = 1.0, .top_p = 1e-6}));
  EXPECT_EQ(results.at(0), greedy_by_hand(decoder, start, 10));
}

TEST(Generate, TheSeedDecidesSamples) {
  const Decoder decoder = toy::decoder();
  const GenerateOptions options{.max_new_tokens = 20, .temperature = 1.0};
  const auto with_seed = [&](uint64_t seed) {
    return run(decoder, {prompt(3, "a")}, options, seed).value().at(0);
  };
  EXPECT_EQ(with_seed(4), with_seed(4));
  EXPECT_NE(with_seed(4), with_seed(5));
}

TEST(Generate, ImpossibleRequestsSayWhy) {
  const Decoder decoder = toy::decoder();
  FRUGAL_EXPECT_ERROR(run(decoder, {prompt(3, "a"), {}}, {.max_new_tokens = 4}),
                      absl::StatusCode::kInvalidArgument, "prompt 1 is empty");
  FRUGAL_EXPECT_ERROR(
      run(decoder, {prompt(40, "a")}, {.max_new_tokens = 30}), absl::StatusCode::kInvalidArgument,
      "prompt 0 has 40 ids; with max_new_tokens = 30 that is more than the model's context of 64");
  FRUGAL_EXPECT_ERROR(run(decoder, {{37}}, {.max_new_tokens = 4}),
                      absl::StatusCode::kInvalidArgument, "holds id 37");
  FRUGAL_EXPECT_ERROR(run(decoder, {{1}}, {.max_new_tokens = 4, .top_p = 0.0}),
                      absl::StatusCode::kInvalidArgument, "top_p = 0");
}

TEST(Generate, StopsWhenInterrupted) {
  base::request_interrupt();
  const auto result = run(toy::decoder(), {prompt(3, "a")}, {.max_new_tokens = 4});
  base::clear_interrupt();
  EXPECT_TRUE(base::is_interrupted(result.status()));
}

}  // namespace
}  // namespace frugal::model
