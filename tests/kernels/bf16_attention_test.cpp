#include "kernels/bf16_attention.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

namespace frugal::kernels {
namespace {

// Less than a block, whole blocks, a part of one; heads narrower and wider than a panel, odd ones.
constexpr HeadGroup kGroups[] = {{1, 4, 1},    {9, 16, 2},   {64, 64, 1},
                                 {130, 32, 3}, {257, 80, 1}, {63, 5, 2}};

using Values = std::vector<double>;

struct Problem {
  explicit Problem(const HeadGroup& group) : group(group) {
    const int64_t each = group.tokens * group.size;
    query = random(1, each * group.heads);
    key = random(2, each);
    value = random(3, each);
    out_gradient = random(4, each * group.heads);
  }
  static std::vector<float> random(uint64_t seed, int64_t count) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(generator);
    return values;
  }
  // Query heads lie [tokens, heads, size], as projections leave them.
  template <typename T>
  HeadRows<T> heads(T* values) const {
    return {.values = values, .stride = group.heads * group.size, .head_step = group.size};
  }
  template <typename T>
  HeadRows<T> one(T* values) const {
    return {.values = values, .stride = group.size, .head_step = 0};
  }

  HeadGroup group;
  std::vector<float> query, key, value, out_gradient;
};

struct Result {
  std::vector<float> out, log_sums, query, key, value;
};

Result run(const Problem& p, const Bf16Kernel& kernel) {
  const auto nan = std::numeric_limits<float>::quiet_NaN();  // must all be overwritten
  Result r{std::vector<float>(p.query.size(), nan),
           std::vector<float>(static_cast<size_t>(p.group.heads * p.group.tokens), nan),
           std::vector<float>(p.query.size(), nan), std::vector<float>(p.key.size(), nan),
           std::vector<float>(p.key.size(), nan)};
  Bf16Attention attention(p.group, kernel);
  attention.forward(p.heads(p.query.data()), p.one(p.key.data()), p.one(p.value.data()),
                    p.heads(r.out.data()), r.log_sums.data());
  attention.backward(p.heads(p.query.data()), p.one(p.key.data()), p.one(p.value.data()),
                     r.log_sums.data(), p.heads(p.out_gradient.data()), p.heads(r.query.data()),
                     p.one(r.key.data()), p.one(r.value.data()));
  return r;
}

const Bf16Kernel& best() {
  return fast_bf16_kernel() != nullptr ? *fast_bf16_kernel() : bf16_kernels().back();
}

double exact(double x) { return x; }
double to_bf16(double x) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(x));
  return std::bit_cast<float>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
}

// By the formulas in fp64, `factor` applied to everything that is multiplied.
struct Expected {
  Values out, query, key, value;
  Values tolerance;  // of out, for factors off by 2⁻⁸ of themselves each
};

Expected by_definition(const Problem& p, const std::function<double(double)>& factor) {
  const auto [tokens, size, heads] = p.group;
  const double scale = 1 / std::sqrt(static_cast<double>(size));
  Expected e{Values(p.query.size()), Values(p.query.size()), Values(p.key.size()),
             Values(p.key.size()), Values(p.query.size())};
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t i = 0; i < tokens; ++i) {
      const size_t row = static_cast<size_t>((i * heads + h) * size);
      Values scores(static_cast<size_t>(i + 1)), by_p(scores);
      double sum = 0, largest = -1e300, off = 0, mean = 0;
      for (int64_t j = 0; j <= i; ++j) {
        const auto at = static_cast<size_t>(j), k = static_cast<size_t>(j * size);
        double magnitude = 0;
        for (size_t d = 0; d < static_cast<size_t>(size); ++d) {
          scores[at] += scale * factor(p.query[row + d]) * factor(p.key[k + d]);
          magnitude += scale * std::fabs(static_cast<double>(p.query[row + d]) * p.key[k + d]);
          by_p[at] += factor(p.out_gradient[row + d]) * factor(p.value[k + d]);
        }
        largest = std::max(largest, scores[at]);
        off = std::max(off, magnitude * 0x1p-7);
      }
      for (double& s : scores) sum += s = std::exp(s - largest);
      for (size_t j = 0; j < scores.size(); ++j) mean += (scores[j] /= sum) * by_p[j];
      for (int64_t j = 0; j <= i; ++j) {
        const auto at = static_cast<size_t>(j), k = static_cast<size_t>(j * size);
        const double weight = factor(scores[at]);
        const double by_score = factor(scale * scores[at] * (by_p[at] - mean));
        for (size_t d = 0; d < static_cast<size_t>(size); ++d) {
          e.out[row + d] += weight * factor(p.value[k + d]);
          e.tolerance[row + d] +=
              scores[at] * std::fabs(p.value[k + d]) * (std::expm1(2 * off) + 0x1p-7 + 1e-5);
          e.value[k + d] += weight * factor(p.out_gradient[row + d]);
          e.query[row + d] += by_score * factor(p.key[k + d]);
          e.key[k + d] += by_score * factor(p.query[row + d]);
        }
      }
    }
  }
  return e;
}

// Of the difference, by that of what is expected.
double relative_error(const std::vector<float>& found, const Values& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += (found[i] - expected[i]) * (found[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  // At one token the gradients by query and key are zero but for rounding.
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-3);
}

TEST(Bf16Attention, StaysWithinItsBound) {
  for (const HeadGroup& group : kGroups) {
    const Problem p(group);
    const Result found = run(p, best());
    const Expected e = by_definition(p, exact);
    for (size_t i = 0; i < found.out.size(); ++i)
      EXPECT_NEAR(found.out[i], e.out[i], e.tolerance[i]) << group.tokens << " tokens, at " << i;
  }
}

// The same roundings in fp64: what is left is fp32's, and a factor here and there that lies so near
// the middle of two bfloat16 numbers that it goes to the other one (2⁻⁸ of one in some thousand).
TEST(Bf16Attention, RoundsFactorsAndNothingElse) {
  for (const HeadGroup& group : kGroups) {
    const Problem p(group);
    const Result found = run(p, best());
    const Expected e = by_definition(p, to_bf16);
    EXPECT_LT(relative_error(found.out, e.out), 1e-4) << group.tokens << " tokens";
    EXPECT_LT(relative_error(found.query, e.query), 2e-4) << group.tokens << " tokens";
    EXPECT_LT(relative_error(found.key, e.key), 2e-4) << group.tokens << " tokens";
    EXPECT_LT(relative_error(found.value, e.value), 1e-4) << group.tokens << " tokens";
  }
}

TEST(Bf16Attention, GradientsAreThoseOfTheDefinition) {
  for (const HeadGroup& group : kGroups) {
    const Problem p(group);
    const Result found = run(p, best());
    const Expected e = by_definition(p, exact);
    // Six roundings by 2⁻⁹ at most lie behind each product, those of scores (of some 1) weigh
    // twice.
    EXPECT_LT(relative_error(found.query, e.query), 8 * 0x1p-9) << group.tokens << " tokens";
    EXPECT_LT(relative_error(found.key, e.key), 8 * 0x1p-9) << group.tokens << " tokens";
    EXPECT_LT(relative_error(found.value, e.value), 8 * 0x1p-9) << group.tokens << " tokens";
  }
}

TEST(Bf16Attention, EveryBuildGivesTheSameBits) {
  for (const HeadGroup& group : kGroups) {
    const Problem p(group);
    const Result expected = run(p, bf16_kernels().back());
    for (const Bf16Kernel& kernel : bf16_kernels()) {
      if (!kernel.available()) continue;
      const Result found = run(p, kernel);
      EXPECT_EQ(found.out, expected.out) << kernel.name;
      EXPECT_EQ(found.log_sums, expected.log_sums) << kernel.name;
      EXPECT_EQ(found.query, expected.query) << kernel.name;
      EXPECT_EQ(found.key, expected.key) << kernel.name;
      EXPECT_EQ(found.value, expected.value) << kernel.name;
    }
  }
}

// One object serves many groups: nothing of the one before is left.
TEST(Bf16Attention, LooksAtNoLaterTokenAndAtNoEarlierGroup) {
  const HeadGroup group{.tokens = 100, .size = 16, .heads = 1};
  const Problem p(group);
  Problem other(group);
  for (size_t i = 70 * 16; i < p.key.size(); ++i) other.key[i] = other.value[i] = 1000;
  const Problem& changed = other;
  Bf16Attention attention(group, best());
  std::vector<float> first(p.query.size()), second(p.query.size()), log_sums(100);
  attention.forward(changed.heads(changed.query.data()), changed.one(changed.key.data()),
                    changed.one(changed.value.data()), changed.heads(second.data()),
                    log_sums.data());
  attention.forward(p.heads(p.query.data()), p.one(p.key.data()), p.one(p.value.data()),
                    p.heads(first.data()), log_sums.data());
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + 70 * 16, second.begin()));
  EXPECT_FALSE(std::equal(first.begin() + 70 * 16, first.end(), second.begin() + 70 * 16));
  EXPECT_EQ(first, run(p, best()).out);
}

}  // namespace
}  // namespace frugal::kernels
