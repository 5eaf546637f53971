#include "kernels/softmax_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

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
