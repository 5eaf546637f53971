#include "kernels/softmax_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/softmax_rows_kernels.h"

namespace frugal::kernels {
namespace {

constexpr int64_t kCounts[] = {1, 2, 15, 16, 17, 64, 257};

std::vector<float> random_values(uint64_t seed, int64_t count, float spread) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

// Of the exponential 2e-7, of scale · x − shift up to 2⁻²⁴ · |shift|, of a sum of positive numbers
// in 16 lanes some (count / 16 + 5) 2⁻²⁴, and of the product with the inverse.
double bound(double largest, int64_t count) {
  return 4e-7 + 2 * largest * 0x1p-24 + (static_cast<double>(count) / 16 + 8) * 0x1p-24;
}

TEST(SoftmaxKernels, EveryBuildIsInTheTable) {
  const SoftmaxKernel& reference = softmax_kernels().back();
  EXPECT_EQ(reference.softmax, &softmax_reference);
  EXPECT_EQ(reference.probabilities, &probabilities_reference);
  EXPECT_EQ(reference.gradient, &softmax_gradient_reference);
  EXPECT_TRUE(reference.available());
#if FRUGAL_X86_TARGETS
  ASSERT_EQ(softmax_kernels().size(), 2u);
  const SoftmaxKernel& avx512 = softmax_kernels().front();
  EXPECT_EQ(avx512.softmax, &softmax_avx512);
  EXPECT_EQ(avx512.probabilities, &probabilities_avx512);
  EXPECT_EQ(avx512.gradient, &softmax_gradient_avx512);
  EXPECT_EQ(&softmax_kernel(), grid::has_avx512() ? &avx512 : &reference);
#else
  EXPECT_EQ(&softmax_kernel(), &reference);
#endif
}

// The reduction of an argument is exact but for the low part of ln 2: the high part times any n
// that comes up is.
TEST(SoftmaxKernels, TheHighPartOfLn2TimesAnExponentIsExact) {
  for (int n = -151; n <= 128; ++n) {
    const double exact = static_cast<double>(kLn2High) * n;
    EXPECT_EQ(static_cast<double>(static_cast<float>(exact)), exact) << n;
  }
  EXPECT_NEAR(static_cast<double>(kLn2High) + kLn2Low, std::log(2.0), 1e-11);
}

// Over the whole range: 2e-7 of itself, as softmax_rows.h says, and half a unit of the last place
// where the result is subnormal; zero below.
TEST(SoftmaxKernels, TheExponentialIsWithinItsBound) {
  std::vector<float> x;
  for (int i = 0; i <= 104 * 128 + 64; ++i) x.push_back(-static_cast<float>(i) / 128);
  for (const SoftmaxKernel& kernel : softmax_kernels()) {
    if (!kernel.available()) continue;
    std::vector<float> e = x;
    kernel.probabilities(e.data(), static_cast<int64_t>(e.size()), 1, 0);
    EXPECT_EQ(e[0], 1) << kernel.name;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(x[i]));
      if (x[i] <= kLowestExponent) {
        ASSERT_EQ(e[i], 0) << kernel.name << " " << x[i];
      } else {
        ASSERT_NEAR(e[i], exact, 2e-7 * exact + 0x1p-150) << kernel.name << " " << x[i];
      }
    }
  }
}

// Parts of sixteen lanes: nothing behind the row is read into it or written.
TEST(SoftmaxKernels, OddCountsLeaveTheRestAlone) {
  constexpr float kUntouched = 80;  // would be the largest by far
  for (const SoftmaxKernel& kernel : softmax_kernels()) {
    if (!kernel.available()) continue;
    for (const int64_t count : {0, 1, 15, 16, 17, 31, 33}) {
      const std::vector<float> p = random_values(5, count + 16, 1);
      std::vector<float> mine = random_values(6, count, 1);
      mine.resize(static_cast<size_t>(count) + 16, kUntouched);
      const std::vector<float> x = mine;
      std::vector<float> theirs = x;
      const auto same = [&] {
        EXPECT_EQ(mine, theirs) << kernel.name << ", " << count << " values";
        for (int64_t j = count; j < count + 16; ++j) ASSERT_EQ(mine[j], kUntouched) << kernel.name;
        mine = theirs = x;
      };
      kernel.probabilities(mine.data(), count, 1.5F, 2);
      probabilities_reference(theirs.data(), count, 1.5F, 2);
      same();
      kernel.gradient(p.data(), mine.data(), count, 0.3F);
      softmax_gradient_reference(p.data(), theirs.data(), count, 0.3F);
      same();
      if (count == 0) continue;
      EXPECT_EQ(kernel.softmax(mine.data(), count, 1.5F),
                softmax_reference(theirs.data(), count, 1.5F));
      same();
    }
  }
}

TEST(SoftmaxRows, EqualsTheDefinition) {
  for (const SoftmaxKernel& kernel : softmax_kernels()) {
    if (!kernel.available()) continue;
    for (const int64_t count : kCounts) {
      const std::vector<float> x = random_values(1, count, 20);
      const double scale = 0.25;
      double largest = -1e30, sum = 0;
      for (const float value : x) largest = std::max(largest, scale * value);
      for (const float value : x) sum += std::exp(scale * value - largest);
      std::vector<float> p = x, again = x;
      const float log_sum = kernel.softmax(p.data(), count, 0.25F);
      EXPECT_NEAR(log_sum, largest + std::log(sum), 1e-6 * (1 + std::fabs(largest)));
      kernel.probabilities(again.data(), count, 0.25F, log_sum);
      for (size_t j = 0; j < x.size(); ++j) {
        const double exact = std::exp(scale * x[j] - largest) / sum;
        EXPECT_NEAR(p[j], exact, exact * bound(std::fabs(largest) + 25, count)) << kernel.name;
        EXPECT_NEAR(again[j], exact, exact * 2 * bound(std::fabs(largest) + 25, count));
      }
    }
  }
}

TEST(SoftmaxRows, TheGradientEqualsTheDefinition) {
  for (const SoftmaxKernel& kernel : softmax_kernels()) {
    if (!kernel.available()) continue;
    for (const int64_t count : kCounts) {
      std::vector<float> p = random_values(2, count, 1);
      kernel.softmax(p.data(), count, 1);
      const std::vector<float> upstream = random_values(3, count, 1);
      std::vector<float> g = upstream;
      kernel.gradient(p.data(), g.data(), count, 0.5F);
      double mean = 0;
      for (size_t j = 0; j < p.size(); ++j) mean += static_cast<double>(p[j]) * upstream[j];
      for (size_t j = 0; j < p.size(); ++j)
        EXPECT_NEAR(g[j], 0.5 * p[j] * (upstream[j] - mean), 1e-6 * p[j]) << kernel.name;
    }
  }
}

TEST(SoftmaxRows, EveryBuildGivesTheSameBits) {
  const SoftmaxKernel& reference = softmax_kernels().back();
  for (const SoftmaxKernel& kernel : softmax_kernels()) {
    if (!kernel.available()) continue;
    for (const int64_t count : kCounts) {
      for (const float spread : {1e-3F, 1.0F, 60.0F}) {
        const std::vector<float> x = random_values(4, count, spread);
        std::vector<float> mine = x, theirs = x;
        EXPECT_EQ(kernel.softmax(mine.data(), count, 1.5F),
                  reference.softmax(theirs.data(), count, 1.5F));
        EXPECT_EQ(mine, theirs) << kernel.name << ", " << count << " values";
        const std::vector<float> p = mine;
        mine = theirs = x;
        kernel.gradient(p.data(), mine.data(), count, 0.3F);
        reference.gradient(p.data(), theirs.data(), count, 0.3F);
        EXPECT_EQ(mine, theirs) << kernel.name << ", " << count << " values";
        mine = theirs = x;
        kernel.probabilities(mine.data(), count, 1.5F, 70.0F);
        reference.probabilities(theirs.data(), count, 1.5F, 70.0F);
        EXPECT_EQ(mine, theirs) << kernel.name << ", " << count << " values";
      }
    }
  }
}

TEST(SoftmaxRows, WhatIsNotFiniteShowsAndWhatIsSmallVanishes) {
  for (const SoftmaxKernel& kernel : softmax_kernels()) {
    if (!kernel.available()) continue;
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::vector<float> x(20, 1.0F);
      x[7] = bad;
      kernel.softmax(x.data(), 20, 1);
      for (const float value : x) EXPECT_FALSE(value >= 0) << kernel.name << " with " << bad;
    }
    std::vector<float> far = {0, -1000, -std::numeric_limits<float>::infinity(), -80};
    kernel.softmax(far.data(), 4, 1);
    EXPECT_EQ(far[0], 1);
    EXPECT_EQ(far[1], 0);
    EXPECT_EQ(far[2], 0);
    EXPECT_NEAR(far[3], std::exp(-80.0), 1e-6 * std::exp(-80.0));
  }
}

}  // namespace
}  // namespace frugal::kernels
