#include "grid/scale_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "grid/half.h"
#include "grid/scale_candidates.h"

namespace frugal::grid {
namespace {

// Factors on the largest weight's level for `count` candidates of each sign: a fine row around 1
// (from -0.11 to +0.12 for 16 levels), then 5 that clip that weight more and more, for blocks where
// it matters little.
float candidate_factor(int index, int count, float step, float stretch) {
  constexpr std::array<float, 5> kCoarse = {0.17f, 0.26f, 0.4f, 0.6f, 1.0f};
  const int fine = count - static_cast<int>(kCoarse.size());
  if (index >= fine) return 1 + stretch * kCoarse[index - fine];
  return 1 + step * (-9 + 19 * static_cast<float>(index) / static_cast<float>(fine - 1));
}

// Candidate `index` of kPacks * 16. The levels of FP8 repeat with every factor of 2, so an octave
// is tried, and no second sign: they are symmetric.
float candidate_scale(int index, float largest, const LevelTable& table, float stretch) {
  constexpr int kAll = kPacks * kCandidates;
  if (table.float8) {
    return std::fabs(largest) / (table.high * (1.26f - 0.024f * static_cast<float>(index)));
  }
  const float step = candidate_step(static_cast<float>(table.count) / 2);
  const float factor = candidate_factor(index / 2, kAll / 2, step, stretch);
  return (index % 2 == 0 ? largest : -largest) / (table.extreme() * factor);
}

// In every lane the best of the candidates tried there, with its least-squares scale.
struct LaneScales {
  std::array<float, kCandidates> scale{};
  std::array<float, kCandidates> gain{};    // (sum w x t)^2 / sum w t^2
  std::array<float, kCandidates> weight{};  // sum w t^2
};

LaneScales best_scales(std::span<const float> x, std::span<const float> weights,
                       const LevelTable& table, float largest) {
  const Moments& moments = moments_of(x, weights, 0);
  const float stretch = candidate_stretch(x, largest);
  LaneScales best;
  for (int pack = 0; pack < kPacks; ++pack) {
    alignas(64) float scale[kCandidates];
    for (int lane = 0; lane < kCandidates; ++lane)
      scale[lane] = candidate_scale(pack * kCandidates + lane, largest, table, stretch);
    Correlations sums;
    scale_kernel().correlate(moments.x.data(), moments.weighted_x.data(), weights.data(),
                             static_cast<int64_t>(x.size()), scale, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      if (!(sums.xt[lane] * sums.xt[lane] > best.gain[lane] * sums.tt[lane])) continue;
      best.gain[lane] = sums.xt[lane] * sums.xt[lane] / sums.tt[lane];
      best.scale[lane] = sums.xt[lane] / sums.tt[lane];
      best.weight[lane] = sums.tt[lane];
    }
  }
  return best;
}

// The best of sixteen stored scales, and of those that least squares on their codes leads to (as
// Lloyd's iteration); `fallback` where all errors overflow.
float best_stored_scale(std::span<const float> x, std::span<const float> weights,
                        const LevelTable& table, Candidates candidates, float fallback) {
  float best_scale = fallback;
  float best_error = std::numeric_limits<float>::infinity();
  for (int round = 0; round < kRounds; ++round) {
    CandidateSums sums;
    candidate_sums(x, weights, candidates, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      float& scale = candidates.scale[lane];
      if (sums.rr[lane] < best_error) {
        best_error = sums.rr[lane];
        best_scale = scale;
      }
      if (sums.tt[lane] > 0) scale = round_to_half(scale + sums.rt[lane] / sums.tt[lane]);
    }
  }
  return best_scale;
}

}  // namespace

float signed_maximum(std::span<const float> x) {
  float largest = 0;
  for (const float value : x) {
    if (std::fabs(value) > std::fabs(largest)) largest = value;
  }
  return largest;
}

bool search_weights(std::span<const float> x, std::span<const float> importance,
                    std::vector<float>& weights) {
  weights.resize(x.size());
  const float largest = std::fabs(signed_maximum(x));
  if (!(largest > kNegligible) || !std::isfinite(largest)) return false;
  const float top =
      importance.empty() ? 0.0f : *std::max_element(importance.begin(), importance.end());
  const bool weighted = top > 0 && std::isfinite(top);
  // Both factors are scaled to at most about 1: neither tiny nor huge weights leave the range of
  // float.
  const float inverse = 1 / largest;
  float square_sum = 0;
  for (const float value : x) square_sum += (value * inverse) * (value * inverse);
  const float sigma = 2 * square_sum / static_cast<float>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const float scaled = x[i] * inverse;
    weights[i] = (weighted ? importance[i] / top : 1.0f) * std::sqrt(sigma + scaled * scaled);
  }
  return true;
}

float search_scale(std::span<const float> x, std::span<const float> weights,
                   const LevelTable& table, float plain_scale) {
  const float largest = signed_maximum(x);
  if (largest == 0) return 0;
  const LaneScales found = best_scales(x, weights, table, largest);
  Candidates winners;
  for (int lane = 0; lane < kCandidates; ++lane)
    winners.scale[lane] = round_to_half(found.scale[lane]);
  // The plain scale takes the place of the weakest.
  winners.scale[std::min_element(found.gain.begin(), found.gain.end()) - found.gain.begin()] =
      plain_scale;
  return best_stored_scale(x, weights, table, winners, plain_scale);
}

SignedScale search_signed_scale(std::span<const float> x, std::span<const float> weights,
                                const LevelTable& table) {
  const float largest = signed_maximum(x);
  if (largest == 0) return {};
  const LaneScales found = best_scales(x, weights, table, largest);
  const auto best_of = [&](int first) {  // even lanes hold candidates of one sign, odd of the other
    int best = first;
    for (int lane = first; lane < kCandidates; lane += 2) {
      if (found.gain[lane] > found.gain[best]) best = lane;
    }
    return best;
  };
  int best = best_of(0);
  int other = best_of(1);
  if (found.gain[other] > found.gain[best]) std::swap(best, other);
  return {found.scale[best], found.scale[other], found.weight[best]};
}

}  // namespace frugal::grid
