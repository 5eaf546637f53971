#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace frugal::base {
namespace {

// Answers of golden/random_reference.py (numpy's PCG64, Python's xxhash): frozen, because seeds
// stand in journals.
TEST(Random, KnownAnswers) {
  struct Case {
    uint64_t seed;
    const char* name;
    std::array<uint64_t, 4> expected;
  };
  for (const Case& known :
       {Case{0,
             "",
             {0x4040ddcfe22f5e57, 0xbac92b7ef1246937, 0xf058a7bf7b2e4af9, 0xf96b831f8e17468a}},
        Case{7,
             "data/shuffle/epoch-3",
             {0xdb643fa940c3b9ad, 0x6498f90049e879e8, 0xb7d749a108f96b44, 0x7ebc170a29ac3d48}},
        Case{~uint64_t{0},
             "weights",
             {0x12570f2fe174e452, 0x80cbca3983d50795, 0xd06720a71e5efaa4, 0xbf0041f768e1ae60}}}) {
    RandomStream random(known.seed, known.name);
    for (const uint64_t expected : known.expected) EXPECT_EQ(random.next(), expected) << known.name;
  }
}

TEST(Random, KnownAnswersOfDistributions) {
  RandomStream uniform(7, "u");
  for (const double expected :
       {0.9732258997331433, 0.40265333238485645, 0.7101141954284146, 0.6088264235101344}) {
    EXPECT_EQ(uniform.uniform(), expected);
  }
  RandomStream below(7, "b");
  for (const uint64_t expected : {3, 9, 6, 2, 2, 1, 2, 2, 1, 2, 1, 5})
    EXPECT_EQ(below.below(10), expected);
  // Python's quantile uses its C library's logarithm: the last bits may differ, four units are
  // allowed.
  RandomStream normal(7, "n");
  for (const double expected :
       {0.670261958600279, -1.1814188163860466, 0.6662208109020116, 0.6520065754489992,
        -1.2226300937688113, -0.18200261711999566, -1.3835715796787187, 0.08378892980861928}) {
    EXPECT_NEAR(normal.normal(), expected, 4 * 2.3e-16 * std::abs(expected));
  }
}

TEST(Random, StreamsAreReproducibleAndApart) {
  RandomStream a(1, "a"), again(1, "a"), b(1, "b"), seed(2, "a");
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = a.next();
    EXPECT_EQ(again.next(), value);
    seen.insert({value, b.next(), seed.next()});
  }
  EXPECT_EQ(seen.size(), 3000u);  // a collision among 3000 of 2^64 has probability 2e-13
}

// Chi-squared over `counts` against equal shares, in standard deviations above its mean.
double excess(const std::vector<int64_t>& counts) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double expected = total / static_cast<double>(counts.size());
  double chi = 0;
  for (const int64_t count : counts)
    chi += std::pow(static_cast<double>(count) - expected, 2) / expected;
  const double freedom = static_cast<double>(counts.size() - 1);
  return (chi - freedom) / std::sqrt(2 * freedom);
}

// The seeds are fixed, so these either always pass or always fail; 4 deviations is what chance
// reaches once in 10^4.
TEST(Random, UniformBelowAndShuffleAreFlat) {
  RandomStream random(11, "flat");
  std::vector<int64_t> uniform(100), below(97), first(8);
  for (int i = 0; i < 200000; ++i) {
    const double value = random.uniform();
    ASSERT_TRUE(value >= 0 && value < 1);
    ++uniform[static_cast<size_t>(value * 100)];
    ++below[random.below(97)];
  }
  for (int i = 0; i < 40000; ++i) {
    std::array<int, 8> items = {0, 1, 2, 3, 4, 5, 6, 7};
    random.shuffle(std::span<int>(items));
    ++first[static_cast<size_t>(items[3])];
    std::sort(items.begin(), items.end());
    ASSERT_EQ(items, (std::array<int, 8>{0, 1, 2, 3, 4, 5, 6, 7}));
  }
  EXPECT_LT(std::abs(excess(uniform)), 4);
  EXPECT_LT(std::abs(excess(below)), 4);
  EXPECT_LT(std::abs(excess(first)), 4);
}

// Three quarters of 2^64: a remainder without refusal would give the lower third twice the weight.
TEST(Random, BelowIsUnbiasedForHugeBounds) {
  RandomStream random(13, "huge");
  const uint64_t bound = uint64_t{3} << 62;
  std::vector<int64_t> thirds(3);
  for (int i = 0; i < 60000; ++i) {
    const uint64_t value = random.below(bound);
    ASSERT_LT(value, bound);
    ++thirds[value >> 62];
  }
  EXPECT_LT(std::abs(excess(thirds)), 4);
  EXPECT_EQ(random.below(1), 0u);
}

TEST(Random, NormalHasItsMomentsAndTails) {
  RandomStream random(17, "normal");
  constexpr int kCount = 200000;
  double sum = 0, squares = 0, cubes = 0, fourth = 0;
  int beyond_two = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.normal();
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    fourth += x * x * x * x;
    beyond_two += std::abs(x) > 2 ? 1 : 0;
  }
  // Variances of the moment estimates: 1, 2, 15, 96 over n; four deviations.
  const double unit = 4 / std::sqrt(kCount);
  EXPECT_NEAR(sum / kCount, 0, unit);
  EXPECT_NEAR(squares / kCount, 1, unit * std::sqrt(2));
  EXPECT_NEAR(cubes / kCount, 0, unit * std::sqrt(15));
  EXPECT_NEAR(fourth / kCount, 3, unit * std::sqrt(96));
  const double share = 0.045500263896358;
  EXPECT_NEAR(static_cast<double>(beyond_two) / kCount, share,
              unit * std::sqrt(share * (1 - share)));
}

TEST(Random, WeightedFollowsItsWeights) {
  RandomStream random(19, "weighted");
  const std::vector<double> weights = {0, 1, 3, 0, 4, -5};  // a negative weight counts as zero
  std::vector<int> counts(weights.size());
  constexpr int kCount = 80000;
  for (int i = 0; i < kCount; ++i) ++counts[random.weighted(weights)];
  EXPECT_EQ(counts[0] + counts[3] + counts[5], 0);
  for (const size_t i : {1u, 2u, 4u}) {
    const double share = weights[i] / 8;
    EXPECT_NEAR(static_cast<double>(counts[i]) / kCount, share,
                4 * std::sqrt(share * (1 - share) / kCount));
  }
}

TEST(Random, BernoulliAndPick) {
  RandomStream random(23, "bernoulli");
  int heads = 0;
  for (int i = 0; i < 40000; ++i) heads += random.bernoulli(0.3) ? 1 : 0;
  EXPECT_NEAR(heads / 40000.0, 0.3, 4 * std::sqrt(0.21 / 40000));
  EXPECT_FALSE(random.bernoulli(0));
  EXPECT_TRUE(random.bernoulli(1));
  const std::vector<int> items = {4};
  EXPECT_EQ(random.pick(std::span<const int>(items)), 4);
}

}  // namespace
}  // namespace frugal::base
