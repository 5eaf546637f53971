#include "grid/scale_candidates.h"

#include <algorithm>
#include <cmath>

namespace frugal::grid {

void candidate_sums(std::span<const float> x, std::span<const float> weights,
                    const Candidates& candidates, const LevelTable& table, CandidateSums& out) {
  scale_kernel().sums(x.data(), weights.data(), static_cast<int64_t>(x.size()), candidates, table,
                      out);
}

float candidate_step(float steps) { return 0.1f * std::max(1.0f, std::sqrt(steps / 8.0f)) / steps; }

float candidate_stretch(std::span<const float> x, float largest) {
  float square_sum = 0;
  for (const float value : x) square_sum += (value / largest) * (value / largest);
  const float over_rms = std::sqrt(static_cast<float>(x.size()) / square_sum);
  return std::max(1.0f, 0.5f * over_rms - 1);
}

const Moments& moments_of(std::span<const float> x, std::span<const float> weights, float offset) {
  thread_local Moments moments;
  moments.x.resize(x.size());
  moments.weighted_x.resize(x.size());
  moments.weight = moments.first = moments.second = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    moments.x[i] = x[i] - offset;
    moments.weighted_x[i] = weights[i] * moments.x[i];
    moments.weight += weights[i];
    moments.first += moments.weighted_x[i];
    moments.second += moments.weighted_x[i] * moments.x[i];
  }
  return moments;
}

}  // namespace frugal::grid
