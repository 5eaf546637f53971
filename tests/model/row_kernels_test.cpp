#include "model/row_kernels.h"

#include <cmath>
#include <vector>

#include "model/toy.h"

namespace frugal::model {
namespace {

std::vector<float> random_values(size_t count, std::string_view name) {
  base::RandomStream stream(2, name);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(stream.normal());
  return values;
}

// Widths around the vector lengths of every instruction set.
class RowWidths : public ::testing::TestWithParam<int64_t> {};

TEST_P(RowWidths, NormalizingEqualsTheDefinition) {
  const int64_t width = GetParam(), rows = 3;
  const auto x = random_values(static_cast<size_t>(rows * width), "x");
  const auto weight = random_values(static_cast<size_t>(width), "weight");
  std::vector<float> y(x.size()), scale(3);
  normalize_rows(x.data(), weight.data(), 1e-5F, rows, width, y.data(), scale.data());
  for (int64_t row = 0; row < rows; ++row) {
    double sum = 0;
    for (int64_t i = 0; i < width; ++i)
      sum += std::pow(static_cast<double>(x[static_cast<size_t>(row * width + i)]), 2);
    const double factor = 1.0 / std::sqrt(sum / static_cast<double>(width) + 1e-5);
    EXPECT_NEAR(scale[static_cast<size_t>(row)], factor, 2e-6 * factor);
    for (int64_t i = 0; i < width; ++i) {
      const auto at = static_cast<size_t>(row * width + i);
      const double expected = x[at] * factor * weight[static_cast<size_t>(i)];
      EXPECT_NEAR(y[at], expected, 3e-6 * std::abs(expected) + 1e-9);
    }
  }
}

TEST_P(RowWidths, BackwardIsTheDerivative) {
  const int64_t width = GetParam();
  const auto x = random_values(static_cast<size_t>(width), "x"),
             weight = random_values(static_cast<size_t>(width), "w");
  const auto direction = random_values(static_cast<size_t>(width), "dy");
  const auto loss = [&](const std::vector<double>& at, const std::vector<double>& by) {
    double sum = 0, value = 0;
    for (const double v : at) sum += v * v;
    for (size_t i = 0; i < at.size(); ++i) {
      value += direction[i] * at[i] * by[i] / std::sqrt(sum / static_cast<double>(width) + 1e-5);
    }
    return value;
  };
  std::vector<float> dx(x.size()), dweight(x.size(), 1.0F), y(x.size()), scale(1);
  normalize_rows(x.data(), weight.data(), 1e-5F, 1, width, y.data(), scale.data());
  normalize_rows_backward(x.data(), weight.data(), scale.data(), direction.data(), 1, width,
                          dx.data(), dweight.data());
  const std::vector<double> at(x.begin(), x.end()), by(weight.begin(), weight.end());
  for (size_t i = 0; i < x.size(); ++i) {
    constexpr double kStep = 1e-5;
    auto up = at, down = at, heavier = by, lighter = by;
    up[i] += kStep;
    down[i] -= kStep;
    heavier[i] += kStep;
    lighter[i] -= kStep;
    // fp32 against fp64 differences whose own error is of order 1e-8.
    EXPECT_NEAR(dx[i], (loss(up, by) - loss(down, by)) / (2 * kStep), 2e-5);
    EXPECT_NEAR(dweight[i] - 1.0, (loss(at, heavier) - loss(at, lighter)) / (2 * kStep),
                2e-5);  // added to what was there
  }
}

TEST_P(RowWidths, RotatingBackUndoesRotating) {
  const int64_t half = GetParam(), heads = 3;
  const auto x = random_values(static_cast<size_t>(2 * half * heads), "x");
  std::vector<float> cosine, sine, y(x.size()), back(x.size());
  for (int64_t i = 0; i < half; ++i) {
    cosine.push_back(std::cos(static_cast<float>(i)));
    sine.push_back(std::sin(static_cast<float>(i)));
  }
  rotate_heads(x.data(), cosine.data(), sine.data(), 1.0F, heads, half, y.data());
  EXPECT_NEAR(y[0], x[0] * cosine[0] - x[static_cast<size_t>(half)] * sine[0], 1e-6);
  rotate_heads(y.data(), cosine.data(), sine.data(), -1.0F, heads, half, back.data());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 2e-6);
}

INSTANTIATE_TEST_SUITE_P(Widths, RowWidths, ::testing::Values(1, 4, 7, 16, 33, 64));

}  // namespace
}  // namespace frugal::model
