#include "evaluate/scoring.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "evaluate/test_models.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::evaluate {
namespace {

// fp32 arithmetic of other shapes: logits of size 10 agree to about 1e-6 each, and ln p is a
// difference of two such numbers.
constexpr double kFloatNoise = 1e-5;

std::vector<text::TokenId> random_ids(int64_t length, uint64_t seed) {
  base::RandomStream random(seed, "test/ids");
  std::vector<text::TokenId> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back(static_cast<text::TokenId>(random.below(256)));
  return ids;
}

// Sequences of very different length, each asked at its first, a middle and its last position.
std::vector<Sequence> unequal_sequences() {
  std::vector<Sequence> sequences;
  for (const int64_t length : {3, 40, 1, 17, 64, 8, 40}) {
    Sequence& sequence = sequences.emplace_back();
    sequence.ids = random_ids(length, static_cast<uint64_t>(length) + sequences.size());
    sequence.queries = {{0, 7}, {length / 2, 99}, {length - 1, 200}};
  }
  return sequences;
}

TEST(ScoreTest, MatchesBruteForceInDouble) {
  const model::Decoder decoder = test::tiny_model(1);
  const std::vector<Sequence> sequences = unequal_sequences();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto scores, score(decoder, sequences, {.batch = 3}));
  ASSERT_EQ(scores.size(), sequences.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    const auto expected = test::brute_log_probabilities(decoder, sequences[i].ids);
    for (size_t q = 0; q < 3; ++q) {
      const Query& query = sequences[i].queries[q];
      EXPECT_NEAR(scores[i][q], expected[query.position][query.target], kFloatNoise)
          << i << " " << q;
    }
  }
}

TEST(ScoreTest, DoesNotDependOnTheBatchOrTheHeadSlices) {
  const model::Decoder decoder = test::tiny_model(2);
  const std::vector<Sequence> sequences = unequal_sequences();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto alone, score(decoder, sequences, {.batch = 1}));
  for (const ScoreOptions& options : {ScoreOptions{.batch = 2}, ScoreOptions{.batch = 100},
                                      ScoreOptions{.batch = 4, .head_rows = 1}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto together, score(decoder, sequences, options));
    for (size_t i = 0; i < sequences.size(); ++i) {
      for (size_t q = 0; q < 3; ++q) EXPECT_NEAR(together[i][q], alone[i][q], kFloatNoise);
    }
  }
}

TEST(ScoreTest, SequencesWithoutQueriesAreFine) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto scores,
                              score(test::tiny_model(1), std::vector<Sequence>{{{1, 2, 3}, {}}}));
  EXPECT_TRUE(scores.at(0).empty());
}

TEST(ScoreTest, RefusesWhatDoesNotFit) {
  const model::Decoder decoder = test::tiny_model(1);
  const auto status = [&](const Sequence& sequence) {
    return score(decoder, std::vector<Sequence>{sequence}).status();
  };
  using absl::StatusCode;
  FRUGAL_EXPECT_ERROR(status({{}, {}}), StatusCode::kInvalidArgument, "empty");
  FRUGAL_EXPECT_ERROR(status({random_ids(65, 1), {}}), StatusCode::kInvalidArgument,
                      "context holds 64");
  FRUGAL_EXPECT_ERROR(status({{1, 259}, {}}), StatusCode::kInvalidArgument, "vocabulary of 259");
  FRUGAL_EXPECT_ERROR(status({{1, 2}, {{1, -1}}}), StatusCode::kInvalidArgument, "id -1");
  FRUGAL_EXPECT_ERROR(status({{1, 2}, {{2, 5}}}), StatusCode::kInvalidArgument, "position 2");
}

TEST(ScoreTest, ReportsLogProbabilitiesThatAreNotFinite) {
  model::Decoder decoder = test::tiny_model(1);
  decoder.set_parameter("model.norm.weight",
                        at::full({32}, std::numeric_limits<float>::infinity()));
  FRUGAL_EXPECT_ERROR(score(decoder, std::vector<Sequence>{{{1, 2}, {{0, 5}}}}),
                      absl::StatusCode::kFailedPrecondition, "not finite");
}

TEST(HeadRowsTest, KeepASliceOfLogitsSmall) {
  EXPECT_EQ(head_rows(4096, {}), 4096);  // 4096 * 4096 * 4 bytes = 64 MiB
  EXPECT_EQ(head_rows(128256, {}), 130);
  EXPECT_EQ(head_rows(int64_t{1} << 40, {}), 1);
  EXPECT_EQ(head_rows(4096, {.head_rows = 5}), 5);
}

}  // namespace
}  // namespace frugal::evaluate
