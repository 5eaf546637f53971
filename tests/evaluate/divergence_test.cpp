#include "evaluate/divergence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "evaluate/test_models.h"
#include "support/shared_data.h"

namespace frugal::evaluate {
namespace {

// fp32 logits from batches of other shapes agree to about 1e-6; every number below is of size 1 or
// smaller and at most a few such errors long.
constexpr double kFloatNoise = 1e-5;

base::RandomStream stream() { return base::RandomStream(1, "test/divergence"); }

ScoredWindows some_windows(std::string_view protocol) {
  text::Example example;
  for (int i = 0; i < 170; ++i)
    example.completion += static_cast<char>('A' + (i * 7 + i / 11) % 26);
  return *scored_windows({example}, test::ByteTokenizer(), *parse_protocol(protocol));
}

struct Brute {
  std::vector<double> kl, same, delta_p, delta, acceptance, ratio;
};

// All scored positions by plain loops in double.
Brute brute_force(const model::Decoder& model, const model::Decoder& reference,
                  const ScoredWindows& windows) {
  Brute result;
  for (int64_t w = 0; w < windows.count(); ++w) {
    const auto ids = windows.window(w);
    const auto q = test::brute_log_probabilities(model, ids);
    const auto p = test::brute_log_probabilities(reference, ids);
    for (int64_t t = windows.protocol.first_target(); t < static_cast<int64_t>(ids.size()); ++t) {
      const auto &log_p = p[t - 1], &log_q = q[t - 1];
      double kl = 0.0, acceptance = 0.0;
      for (size_t v = 0; v < log_p.size(); ++v) {
        kl += std::exp(log_p[v]) * (log_p[v] - log_q[v]);
        acceptance += std::min(std::exp(log_p[v]), std::exp(log_q[v]));
      }
      const auto top = [](const std::vector<double>& values) {
        return std::max_element(values.begin(), values.end()) - values.begin();
      };
      result.kl.push_back(kl);
      result.same.push_back(top(log_p) == top(log_q) ? 1.0 : 0.0);
      result.acceptance.push_back(acceptance);
      const double delta = std::exp(log_q[ids[t]]) - std::exp(log_p[ids[t]]);
      result.delta_p.push_back(delta * delta);
      result.delta.push_back(delta);
      result.ratio.push_back(log_p[ids[t]] - log_q[ids[t]]);
    }
  }
  return result;
}

TEST(DivergenceTest, MatchesBruteForceInDouble) {
  const model::Decoder model = test::tiny_model(1), reference = test::tiny_model(2);
  for (const char* protocol : {"gptq-32", "llamacpp-32", "documents-48"}) {
    const ScoredWindows windows = some_windows(protocol);
    const Brute expected = brute_force(model, reference, windows);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Divergence result,
                                divergence(model, reference, windows, stream(), {.batch = 2}));
    EXPECT_EQ(result.windows, windows.count());
    EXPECT_EQ(result.positions, static_cast<int64_t>(expected.kl.size()));
    EXPECT_NEAR(result.mean_kl, mean(expected.kl), kFloatNoise);
    EXPECT_NEAR(result.same_top, mean(expected.same), 1e-12);
    EXPECT_NEAR(result.expected_acceptance, mean(expected.acceptance), kFloatNoise);
    EXPECT_NEAR(result.delta_p_rms, std::sqrt(mean(expected.delta_p)), kFloatNoise);
    EXPECT_NEAR(result.ln_perplexity_ratio, mean(expected.ratio), kFloatNoise);
    std::vector<double> sorted = expected.kl;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_NEAR(result.median, quantile_of_sorted(sorted, 0.5), kFloatNoise);
    EXPECT_NEAR(result.percentile_1, quantile_of_sorted(sorted, 0.01), kFloatNoise);
    EXPECT_NEAR(result.percentile_5, quantile_of_sorted(sorted, 0.05), kFloatNoise);
    EXPECT_NEAR(result.percentile_10, quantile_of_sorted(sorted, 0.1), kFloatNoise);
    EXPECT_NEAR(result.percentile_25, quantile_of_sorted(sorted, 0.25), kFloatNoise);
    EXPECT_NEAR(result.percentile_75, quantile_of_sorted(sorted, 0.75), kFloatNoise);
    EXPECT_NEAR(result.percentile_90, quantile_of_sorted(sorted, 0.9), kFloatNoise);
    EXPECT_NEAR(result.percentile_95, quantile_of_sorted(sorted, 0.95), kFloatNoise);
    EXPECT_NEAR(result.percentile_99_9, quantile_of_sorted(sorted, 0.999), kFloatNoise);
    EXPECT_NEAR(result.delta_p, mean(expected.delta), kFloatNoise);
    EXPECT_NEAR(result.percentile_99, quantile_of_sorted(sorted, 0.99), kFloatNoise);
    EXPECT_NEAR(result.maximum, sorted.back(), kFloatNoise);
    EXPECT_GT(result.mean_kl, 0.01);  // the two models do differ
  }
}

TEST(DivergenceTest, PerplexitiesAreThoseOfThePlainRoutine) {
  const model::Decoder model = test::tiny_model(1), reference = test::tiny_model(2);
  const ScoredWindows windows = some_windows("gptq-32");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Divergence both,
                              divergence(model, reference, windows, stream()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Perplexity alone, perplexity(model, windows, stream()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Perplexity other, perplexity(reference, windows, stream()));
  EXPECT_NEAR(both.model.mean_nll, alone.mean_nll, kFloatNoise);
  EXPECT_NEAR(both.reference.mean_nll, other.mean_nll, kFloatNoise);
  EXPECT_EQ(both.model.scored_tokens, alone.scored_tokens);
  EXPECT_EQ(both.model.protocol, "gptq-32");
  EXPECT_NEAR(both.ln_perplexity_ratio, std::log(alone.value / other.value), 2 * kFloatNoise);
}

TEST(DivergenceTest, OfAModelFromItselfIsZero) {
  const model::Decoder model = test::tiny_model(1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Divergence result,
                              divergence(model, model, some_windows("gptq-32"), stream()));
  EXPECT_EQ(result.mean_kl, 0.0);
  EXPECT_EQ(result.maximum, 0.0);
  EXPECT_EQ(result.same_top, 1.0);
  EXPECT_NEAR(result.expected_acceptance, 1.0, 1e-12);
  EXPECT_EQ(result.delta_p_rms, 0.0);
  EXPECT_EQ(result.ln_perplexity_ratio, 0.0);
  EXPECT_EQ(result.ln_perplexity_ratio_error, 0.0);
}

TEST(DivergenceTest, HasADirection) {
  const model::Decoder a = test::tiny_model(1), b = test::tiny_model(2);
  const ScoredWindows windows = some_windows("gptq-32");
  const double there = divergence(a, b, windows, stream())->mean_kl;
  const double back = divergence(b, a, windows, stream())->mean_kl;
  EXPECT_GT(std::abs(there - back), 100 * kFloatNoise);
}

TEST(DivergenceTest, DoesNotDependOnTheBatchOrTheHeadSlices) {
  const model::Decoder a = test::tiny_model(1), b = test::tiny_model(2);
  const ScoredWindows windows = some_windows("llamacpp-32");
  const Divergence plain = *divergence(a, b, windows, stream(), {.batch = 1});
  const Divergence sliced = *divergence(a, b, windows, stream(), {.batch = 5, .head_rows = 16});
  ASSERT_EQ(plain.items.size(), sliced.items.size());
  for (size_t w = 0; w < plain.items.size(); ++w) {
    EXPECT_NEAR(plain.items[w].kl, sliced.items[w].kl, kFloatNoise);
    EXPECT_NEAR(plain.items[w].nll, sliced.items[w].nll, kFloatNoise);
  }
  EXPECT_EQ(plain.positions, sliced.positions);
}

TEST(DivergenceTest, UncertaintyComesFromWindows) {
  const model::Decoder a = test::tiny_model(1), b = test::tiny_model(2);
  const Divergence result = *divergence(a, b, some_windows("gptq-32"), stream());
  std::vector<double> kl, ratio;
  for (const WindowDivergence& item : result.items) {
    kl.push_back(item.kl);
    ratio.push_back(item.nll - item.reference_nll);
  }
  EXPECT_NEAR(result.standard_error, standard_error(kl), 1e-12);  // windows of equal length
  EXPECT_NEAR(result.ln_perplexity_ratio_error, standard_error(ratio), 1e-12);
  std::vector<double> delta, squares;
  for (const WindowDivergence& item : result.items) {
    delta.push_back(item.delta_p);
    squares.push_back(item.delta_p_squared);
  }
  EXPECT_NEAR(result.delta_p_error, standard_error(delta), 1e-12);
  // llama.cpp: the error of the mean square by twice the root.
  EXPECT_NEAR(result.delta_p_rms_error, standard_error(squares) / (2 * result.delta_p_rms), 1e-12);
  ASSERT_TRUE(result.expected_acceptance_interval.has_value());
  EXPECT_LT(result.expected_acceptance_interval->low, result.expected_acceptance);
  ASSERT_TRUE(result.interval.has_value());
  EXPECT_EQ(result.interval->n, 5);
  EXPECT_LT(result.interval->low, result.mean_kl);
  EXPECT_GT(result.interval->high, result.mean_kl);
}

// Pieces of one document depend on each other.
TEST(DivergenceTest, UncertaintyOfPiecesIsThatOfTheirDocuments) {
  const model::Decoder a = test::tiny_model(1), b = test::tiny_model(2);
  std::vector<text::Example> examples(3);
  for (int i = 0; i < 150; ++i)
    examples[static_cast<size_t>(i / 50)].completion +=
        static_cast<char>('A' + (i * 7 + i / 11) % 26);
  const ScoredWindows windows =
      *scored_windows(examples, test::ByteTokenizer(), *parse_protocol("documents-16"));
  const Divergence result = *divergence(a, b, windows, stream());
  std::vector<double> kl(3, 0.0), tokens(3, 0.0);
  for (const WindowDivergence& item : result.items) {
    kl[static_cast<size_t>(item.document)] += item.kl * static_cast<double>(item.tokens);
    tokens[static_cast<size_t>(item.document)] += static_cast<double>(item.tokens);
  }
  ASSERT_EQ(result.windows, 12);
  EXPECT_EQ(result.interval->n, 3);
  for (size_t i = 0; i < 3; ++i) kl[i] /= tokens[i];  // of equal length
  EXPECT_NEAR(result.standard_error, standard_error(kl), 1e-12);
}

TEST(DivergenceTest, RefusesWhatCannotBeCompared) {
  const model::Decoder model = test::tiny_model(1);
  const model::Decoder other = test::tiny_model(1, test::tiny_config(300));
  FRUGAL_EXPECT_ERROR(divergence(model, other, some_windows("gptq-32"), stream()),
                      absl::StatusCode::kInvalidArgument, "259 ids, the reference 300");
  const model::Decoder small = test::tiny_model(1, test::tiny_config(259, 16));
  FRUGAL_EXPECT_ERROR(divergence(model, small, some_windows("gptq-32"), stream()),
                      absl::StatusCode::kInvalidArgument, "reference: perplexity protocol gptq-32");
}

// Log-probabilities of a decoder, handed over in parts of three positions.
LogitSource in_parts(const model::Decoder& decoder) {
  return [&decoder](const Sequence& sequence, const auto& use) -> absl::Status {
    const auto rows = test::brute_log_probabilities(decoder, sequence.ids);
    const auto count = static_cast<int64_t>(sequence.queries.size());
    for (int64_t begin = 0; begin < count; begin += 3) {
      std::vector<float> part;
      const int64_t end = std::min(count, begin + 3);
      for (int64_t q = begin; q < end; ++q) {
        const auto& row =
            rows[static_cast<size_t>(sequence.queries[static_cast<size_t>(q)].position)];
        part.insert(part.end(), row.begin(), row.end());
      }
      const auto width = static_cast<int64_t>(part.size()) / (end - begin);
      const absl::Status status =
          use(begin, at::from_blob(part.data(), {end - begin, width}, at::kFloat));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  };
}

TEST(DivergenceTest, OfAModelElsewhereIsThatOfTheSameModelHere) {
  const model::Decoder a = test::tiny_model(1), b = test::tiny_model(2);
  for (const char* protocol : {"gptq-32", "llamacpp-32"}) {
    const ScoredWindows windows = some_windows(protocol);
    const Divergence here = *divergence(a, b, windows, stream());
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Divergence there,
                                divergence(in_parts(a), b, windows, stream(), {.head_rows = 16}));
    EXPECT_EQ(there.positions, here.positions);
    EXPECT_NEAR(there.mean_kl, here.mean_kl, kFloatNoise);
    EXPECT_NEAR(there.model.mean_nll, here.model.mean_nll, kFloatNoise);
    EXPECT_NEAR(there.reference.mean_nll, here.reference.mean_nll, kFloatNoise);
    ASSERT_EQ(there.items.size(), here.items.size());
    for (size_t w = 0; w < here.items.size(); ++w)
      EXPECT_NEAR(there.items[w].kl, here.items[w].kl, kFloatNoise);
  }
}

TEST(DivergenceTest, RefusesLogitsThatAreNotThoseAskedFor) {
  const model::Decoder model = test::tiny_model(1),
                       other = test::tiny_model(1, test::tiny_config(300));
  FRUGAL_EXPECT_ERROR(divergence(in_parts(other), model, some_windows("gptq-32"), stream()),
                      absl::StatusCode::kFailedPrecondition, "rows of 300 logits");
  const LogitSource nothing = [](const Sequence&, const auto&) { return absl::OkStatus(); };
  FRUGAL_EXPECT_ERROR(divergence(nothing, model, some_windows("gptq-32"), stream()),
                      absl::StatusCode::kFailedPrecondition, "logits of 0 positions of a window");
}

TEST(DivergenceTest, OfTheFirstWindowsIsThatOfThoseAlone) {
  const model::Decoder a = test::tiny_model(1), b = test::tiny_model(2);
  const ScoredWindows all = some_windows("gptq-32"), two = first_windows(all, 2);
  ASSERT_EQ(two.count(), 2);
  const Divergence whole = *divergence(a, b, all, stream()),
                   part = *divergence(a, b, two, stream());
  ASSERT_EQ(part.items.size(), 2u);
  for (size_t w = 0; w < 2; ++w) EXPECT_NEAR(part.items[w].kl, whole.items[w].kl, kFloatNoise);
  EXPECT_EQ(first_windows(all, 1000).count(), all.count());
}

}  // namespace
}  // namespace frugal::evaluate
