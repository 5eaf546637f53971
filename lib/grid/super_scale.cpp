// Tested by: tests/grid/affine_k_test.cpp
// The scale of scales of the K types.
#include <algorithm>
#include <limits>

#include "grid/grid.h"
#include "grid/half.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int kSuperTries = 16;

// As nearbyint, for |y| < 2^22: no call to the mathematical library in an inner loop.
float round_small(float y) { return (y + 0x1.8p23f) - 0x1.8p23f; }

double super_scale_error(std::span<const float> values, std::span<const float> weights, float scale,
                         int lowest, int highest) {
  const float inverse = inverse_scale(scale);
  double error = 0;
  for (size_t j = 0; j < values.size(); ++j) {
    const float code = round_small(
        std::clamp(values[j] * inverse, static_cast<float>(lowest), static_cast<float>(highest)));
    const double difference = static_cast<double>(values[j]) - static_cast<double>(scale) * code;
    error += weights[j] * difference * difference;
  }
  return error;
}

}  // namespace

float search_super_scale(std::span<const float> values, std::span<const float> weights, int lowest,
                         int highest) {
  const float top = signed_maximum(values);
  if (top == 0) return 0;
  float best_scale = 0;
  double best_error = std::numeric_limits<double>::infinity();
  const auto offer = [&](float scale) {
    const double error = super_scale_error(values, weights, scale, lowest, highest);
    if (!(error < best_error)) return;
    best_error = error;
    best_scale = scale;
  };
  // The largest value at the extreme code, or a little inside: sub-scales leave room to choose.
  const int tries = std::clamp(highest / 4, 1, kSuperTries);
  for (int k = 0; k < tries; ++k) {
    offer(round_to_half(top / static_cast<float>(highest - k)));
    if (lowest < 0) offer(round_to_half(top / static_cast<float>(lowest + k)));
  }
  return best_scale;
}

}  // namespace frugal::grid
