#include "kernels/bf16_product.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

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
