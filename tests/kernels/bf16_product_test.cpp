#include "kernels/bf16_product.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/bf16_product_kernels.h"

namespace frugal::kernels {
namespace {

const Bf16Kernel& reference() { return bf16_kernels().back(); }

std::vector<float> random_values(uint64_t seed, int64_t count) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

struct Shape {
  int64_t rows, columns;
};
// Whole panels, parts of one, odd lengths, more than one depth of the kernel.
constexpr Shape kShapes[] = {{128, 64}, {37, 70}, {1, 1}, {2, 200}, {300, 17}, {131, 129}};

std::vector<uint32_t> packed(const Bf16Kernel& kernel, const PackSource& source, bool by_columns) {
  const int64_t vectors = by_columns ? source.columns : source.rows;
  const int64_t length = by_columns ? source.rows : source.columns;
  std::vector<uint32_t> words(static_cast<size_t>(panel_count(vectors) * panel_words(length)), 7);
  for (int64_t panel = 0; panel < panel_count(vectors); ++panel) {
    uint32_t* const out = words.data() + panel * panel_words(length);
    by_columns ? kernel.pack_columns(source, panel, out) : kernel.pack_rows(source, panel, out);
  }
  return words;
}

// AᵀB by panels, [columns of a, columns of b].
std::vector<float> product(const Bf16Kernel& kernel, const PackSource& a, const PackSource& b) {
  const std::vector<uint32_t> left = packed(kernel, a, true), right = packed(kernel, b, true);
  std::vector<float> out(static_cast<size_t>(a.columns * b.columns));
  for (int64_t i = 0; i < panel_count(a.columns); ++i) {
    for (int64_t j = 0; j < panel_count(b.columns); ++j) {
      kernel.multiply(left.data() + i * panel_words(a.rows), right.data() + j * panel_words(b.rows),
                      pair_count(a.rows), std::min(kPanel, a.columns - i * kPanel),
                      std::min(kPanel, b.columns - j * kPanel),
                      out.data() + i * kPanel * b.columns + j * kPanel, b.columns);
    }
  }
  return out;
}

PackSource source_of(const std::vector<float>& values, Shape shape) {
  return {.values = values.data(),
          .stride = shape.columns,
          .rows = shape.rows,
          .columns = shape.columns};
}

TEST(Bf16ProductKernels, EveryBuildIsInTheTable) {
  EXPECT_EQ(reference().pack_columns, &pack_columns_reference);
  EXPECT_EQ(reference().pack_rows, &pack_rows_reference);
  EXPECT_EQ(reference().multiply, &multiply_reference);
  EXPECT_TRUE(reference().available());
#if FRUGAL_X86_TARGETS
  ASSERT_EQ(bf16_kernels().size(), 2u);
  const Bf16Kernel& avx512 = bf16_kernels().front();
  EXPECT_EQ(avx512.pack_columns, &pack_columns_avx512);
  EXPECT_EQ(avx512.pack_rows, &pack_rows_avx512);
  EXPECT_EQ(avx512.multiply, &multiply_avx512);
  EXPECT_EQ(fast_bf16_kernel(), grid::has_avx512_bf16() ? &avx512 : nullptr);
#else
  EXPECT_EQ(fast_bf16_kernel(), nullptr);
#endif
}

// By hand: words hold two neighbors, the first in the low half; zeros fill the panel.
TEST(Bf16ProductKernels, AWordHoldsTwoNeighbors) {
  const std::vector<float> values = {1, 2, -9, 3, 4, -9, 5, 6, -9};  // [3, 2] in rows of three
  const PackSource source{.values = values.data(), .stride = 3, .rows = 3, .columns = 2};
  constexpr uint32_t kOne = 0x3f80, kTwo = 0x4000, kThree = 0x4040, kFour = 0x4080, kFive = 0x40a0,
                     kSix = 0x40c0;
  for (const Bf16Kernel& kernel : bf16_kernels()) {
    if (!kernel.available()) continue;
    std::vector<uint32_t> expected(2 * kPanel, 0);
    expected[0] = kOne | kThree << 16, expected[1] = kTwo | kFour << 16;
    expected[kPanel] = kFive, expected[kPanel + 1] = kSix;
    EXPECT_EQ(packed(kernel, source, true), expected) << kernel.name;
    expected.assign(kPanel, 0);
    expected[0] = kOne | kTwo << 16, expected[1] = kThree | kFour << 16,
    expected[2] = kFive | kSix << 16;
    EXPECT_EQ(packed(kernel, source, false), expected) << kernel.name;
  }
}

TEST(Bf16ProductKernels, OddSizesWriteWhatTheyShouldAndNothingElse) {
  constexpr float kUntouched = 4711;
  constexpr int64_t kStride = 70;
  for (const int64_t pairs : {0, 1, 63, 64, 65}) {
    std::vector<uint32_t> a, b;
    if (pairs > 0) {
      const std::vector<float> x = random_values(6, pairs * 2 * kPanel);
      const PackSource source = source_of(x, {pairs * 2, kPanel});
      a = packed(reference(), source, true);
      b = packed(
          reference(),
          {.values = x.data() + 1, .stride = kPanel, .rows = pairs * 2, .columns = kPanel - 1},
          true);
    }
    for (const auto& [rows, columns] : std::initializer_list<std::pair<int64_t, int64_t>>{
             {0, 5}, {5, 0}, {1, 1}, {3, 17}, {5, 16}, {63, 15}, {64, 64}}) {
      std::vector<float> expected(kPanel * kStride, kUntouched);
      multiply_reference(a.data(), b.data(), pairs, rows, columns, expected.data(), kStride);
      for (int64_t i = 0; i < kPanel; ++i) {
        for (int64_t j = 0; j < kStride; ++j) {
          if (i >= rows || j >= columns) {
            ASSERT_EQ(expected[i * kStride + j], kUntouched);
          } else if (pairs == 0) {
            ASSERT_EQ(expected[i * kStride + j], 0);
          }
        }
      }
      for (const Bf16Kernel& kernel : bf16_kernels()) {
        if (!kernel.available()) continue;
        std::vector<float> found(kPanel * kStride, kUntouched);
        kernel.multiply(a.data(), b.data(), pairs, rows, columns, found.data(), kStride);
        EXPECT_EQ(found, expected) << kernel.name << " " << pairs << " " << rows << " " << columns;
      }
    }
  }
}

// Signs of zeros too.
TEST(Bf16ProductKernels, WhatIsSubnormalCountsAsZero) {
  constexpr float kSmallest = std::numeric_limits<float>::min();
  const std::vector<float> tiny = {1e-40f, -1e-40f, kSmallest / 2, -0.0f, kSmallest};
  const uint32_t expected[] = {0, 0x8000, 0, 0x8000, 0x80};
  const std::vector<float> factors = {1e-20f, 3e-19f,  -2e-19f, 1.5f,
                                      1e-38f, -1e-38f, 1e-25f,  7e30f};
  for (const Bf16Kernel& kernel : bf16_kernels()) {
    if (!kernel.available()) continue;
    for (size_t i = 0; i < tiny.size(); ++i) {
      const PackSource one{.values = tiny.data() + i, .stride = 1, .rows = 1, .columns = 1};
      EXPECT_EQ(packed(kernel, one, true)[0], expected[i]) << kernel.name << " " << i;
      EXPECT_EQ(packed(kernel, one, false)[0], expected[i]) << kernel.name << " " << i;
    }
    // Products and sums below the smallest normal number, and those that come back above it.
    const auto size = static_cast<int64_t>(factors.size());
    const PackSource row = source_of(factors, {1, size}),
                     column = source_of(factors, {size / 2, 2});
    for (const PackSource& source : {row, column}) {
      const std::vector<float> found = product(kernel, source, source);
      const std::vector<float> defined = product(reference(), source, source);
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(std::bit_cast<uint32_t>(found[i]), std::bit_cast<uint32_t>(defined[i]))
            << kernel.name << " " << i;
        EXPECT_TRUE(found[i] == 0 || std::fabs(found[i]) >= kSmallest) << kernel.name << " " << i;
      }
    }
  }
}

TEST(Bf16Product, PackingRoundsToNearestEven) {
  // Exact, a tie down to even, a tie up to even, just above a tie, the largest float (to infinity).
  const std::vector<float> values = {1.0f, 1.00390625f, 1.01171875f, 1.00390637f,
                                     std::numeric_limits<float>::max()};
  const float expected[] = {1.0f, 1.0f, 1.015625f, 1.0078125f,
                            std::numeric_limits<float>::infinity()};
  for (const Bf16Kernel& kernel : bf16_kernels()) {
    if (!kernel.available()) continue;
    for (size_t i = 0; i < values.size(); ++i) {
      const std::vector<uint32_t> words =
          packed(kernel, {.values = values.data() + i, .stride = 1, .rows = 1, .columns = 1}, true);
      EXPECT_EQ(std::bit_cast<float>(words[0] << 16), expected[i]) << kernel.name << " " << i;
    }
  }
}

TEST(Bf16Product, EveryBuildPacksAlike) {
  for (const Shape shape : kShapes) {
    const std::vector<float> values = random_values(1, shape.rows * shape.columns);
    const std::vector<float> minus = random_values(2, shape.rows * shape.columns);
    PackSource source = source_of(values, shape);
    for (const bool difference : {false, true}) {
      source.minus = difference ? minus.data() : nullptr;
      source.minus_stride = shape.columns;
      for (const Bf16Kernel& kernel : bf16_kernels()) {
        if (!kernel.available()) continue;
        for (const bool columns : {true, false})
          EXPECT_EQ(packed(kernel, source, columns), packed(reference(), source, columns))
              << kernel.name << " " << shape.rows << " x " << shape.columns;
      }
    }
  }
}

TEST(Bf16Product, EveryBuildGivesTheSameBits) {
  for (const Shape shape : kShapes) {
    const std::vector<float> a = random_values(3, shape.rows * shape.columns);
    const std::vector<float> b = random_values(4, shape.rows * 90);
    const std::vector<float> expected =
        product(reference(), source_of(a, shape), source_of(b, {shape.rows, 90}));
    for (const Bf16Kernel& kernel : bf16_kernels()) {
      if (!kernel.available()) continue;
      EXPECT_EQ(product(kernel, source_of(a, shape), source_of(b, {shape.rows, 90})), expected)
          << kernel.name << " " << shape.rows << " x " << shape.columns;
    }
  }
}

TEST(Bf16Product, StaysWithinItsBound) {
  const Shape shape{301, 66};
  const std::vector<float> x = random_values(5, shape.rows * shape.columns);
  const std::vector<float> h =
      product(bf16_kernels().front().available() ? bf16_kernels().front() : reference(),
              source_of(x, shape), source_of(x, shape));
  for (int64_t i = 0; i < shape.columns; ++i) {
    for (int64_t j = 0; j < shape.columns; ++j) {
      double exact = 0, magnitude = 0;
      for (int64_t t = 0; t < shape.rows; ++t) {
        const double term =
            static_cast<double>(x[t * shape.columns + i]) * x[t * shape.columns + j];
        exact += term;
        magnitude += std::fabs(term);
      }
      // Rounding of the factors, and of 301 fp32 sums.
      const double bound = magnitude * (0x1p-7 + 0x1p-16 + 301 * 0x1p-24);
      EXPECT_LE(std::fabs(h[i * shape.columns + j] - exact), bound);
    }
  }
}

TEST(Bf16Product, NanAndInfinityAreNotLost) {
  const std::vector<float> x = {std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::infinity()};
  for (const Bf16Kernel& kernel : bf16_kernels()) {
    if (!kernel.available()) continue;
    for (size_t i = 0; i < x.size(); ++i) {
      const PackSource one{.values = x.data() + i, .stride = 1, .rows = 1, .columns = 1};
      EXPECT_FALSE(std::isfinite(product(kernel, one, one)[0])) << kernel.name;
    }
  }
}

}  // namespace
}  // namespace frugal::kernels
