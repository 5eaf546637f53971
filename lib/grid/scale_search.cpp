#include "grid/scale_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "grid/half.h"
#include "grid/scale_kernels.h"

namespace frugal::grid {
namespace {

constexpr int kPacks = 3;  // 48 candidates for each search
constexpr int kRounds = 2;
// Below this no product of a stored scale and a level is anything but 0 or larger than twice the
// weight.
constexpr float kNegligible = 0x1p-26f;

constexpr ScaleKernel kScaleKernels[] = {
#if FRUGAL_X86_TARGETS
    {"avx512", has_avx512, avx512_sums, avx512_encode},
    {"avx2", has_avx2, avx2_sums, avx2_encode},
#endif
    {"plain", always_available, plain_sums, plain_encode},
};

void candidate_sums(std::span<const float> x, std::span<const float> weights,
                    const Candidates& candidates, const LevelTable& table, CandidateSums& out) {
  scale_kernel().sums(x.data(), weights.data(), static_cast<int64_t>(x.size()), candidates, table,
                      out);
}

// How far the extreme level is moved from one candidate to the next, relative to the span of the
// levels.
float candidate_step(float span) { return 0.1f * std::max(1.0f, std::sqrt(span / 8.0f)) / span; }

// Factors on the largest weight's level: 17 around 1, then 7 that clip it more and more, for blocks
// whose largest weight matters little.
float candidate_factor(int index, float step) {
  constexpr int kFine = 17;
  constexpr int kFineBelow = 8;
  constexpr std::array<float, 7> kCoarse = {1.14f, 1.19f, 1.25f, 1.33f, 1.45f, 1.65f, 2.0f};
  return index < kFine ? 1 + step * static_cast<float>(index - kFineBelow) : kCoarse[index - kFine];
}

// Least-squares scale of a candidate whose offset is `zero` scales below zero: w = scale * (t -
// zero).
struct ScaleOptimum {
  float scale;
  float error;
};
ScaleOptimum scale_optimum(const Candidates& candidates, const CandidateSums& sums, int i,
                           float zero, float weight) {
  const float rt = sums.rt[i] - zero * sums.r[i];
  const float tt = sums.tt[i] - 2 * zero * sums.t[i] + zero * zero * weight;
  if (!(tt > 0)) return {candidates.scale[i], sums.rr[i]};
  return {candidates.scale[i] + rt / tt, sums.rr[i] - rt * rt / tt};
}

// Keeps in every lane the better of the candidates that were tried there, its scale as it would be
// stored.
struct LaneWinners {
  Candidates candidates;
  std::array<float, kCandidates> error;
  LaneWinners() { error.fill(std::numeric_limits<float>::infinity()); }
  void offer(int lane, ScaleOptimum optimum, float zero) {
    if (!(optimum.error < error[lane])) return;
    error[lane] = optimum.error;
    candidates.scale[lane] = round_to_half(optimum.scale);
    candidates.offset[lane] = -candidates.scale[lane] * zero;
  }
};

float sum_of(std::span<const float> values) {
  float sum = 0;
  for (const float value : values) sum += value;
  return sum;
}

// Increments of (scale, offset) that minimize sum w (r - ds t - do)^2, offset kept <= 0.
ScaleAndOffset pair_optimum(float scale, float offset, const CandidateSums& s, int i, float weight,
                            float& error) {
  const float determinant = weight * s.tt[i] - s.t[i] * s.t[i];
  float step_scale = 0;
  float step_offset = 0;
  if (determinant > 1e-6f * weight * s.tt[i]) {
    step_scale = (weight * s.rt[i] - s.r[i] * s.t[i]) / determinant;
    step_offset = (s.tt[i] * s.r[i] - s.t[i] * s.rt[i]) / determinant;
  }
  if (offset + step_offset > 0) {
    step_offset = -offset;
    step_scale = s.tt[i] > 0 ? (s.rt[i] - step_offset * s.t[i]) / s.tt[i] : 0.0f;
  }
  error = s.rr[i] - 2 * (step_scale * s.rt[i] + step_offset * s.r[i]) +
          step_scale * step_scale * s.tt[i] + 2 * step_scale * step_offset * s.t[i] +
          step_offset * step_offset * weight;
  return {scale + step_scale, offset + step_offset, s.tt[i], weight};
}

}  // namespace

std::span<const ScaleKernel> scale_kernels() { return kScaleKernels; }

const ScaleKernel& scale_kernel() {
  static const ScaleKernel& chosen =
      *std::find_if(std::begin(kScaleKernels), std::end(kScaleKernels),
                    [](const auto& k) { return k.available(); });
  return chosen;
}

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
  const float weight = sum_of(weights);
  const float step = candidate_step(-table.low);
  LaneWinners winners;
  CandidateSums sums;
  for (int pack = 0; pack < kPacks; ++pack) {
    Candidates candidates;
    for (int lane = 0; lane < kCandidates; ++lane) {
      const int index = pack * kCandidates + lane;
      const float factor = candidate_factor(index / 2, step);
      candidates.scale[lane] = (index % 2 == 0 ? largest : -largest) / (table.low * factor);
    }
    candidate_sums(x, weights, candidates, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      winners.offer(lane, scale_optimum(candidates, sums, lane, 0, weight), 0);
    }
  }
  // Twice: least squares again on the codes that the rounded scales give (as Lloyd's iteration).
  float best_scale = plain_scale;
  float best_error = std::numeric_limits<float>::infinity();
  winners.candidates.scale[0] = plain_scale;
  for (int round = 0; round < kRounds; ++round) {
    candidate_sums(x, weights, winners.candidates, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      float& scale = winners.candidates.scale[lane];
      if (sums.rr[lane] < best_error) {
        best_error = sums.rr[lane];
        best_scale = scale;
      }
      scale = round_to_half(scale_optimum(winners.candidates, sums, lane, 0, weight).scale);
    }
  }
  return best_scale;
}

ScaleAndZero search_scale_and_zero(std::span<const float> x, std::span<const float> weights,
                                   const LevelTable& table, ScaleAndZero plain) {
  const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
  const float high = std::max(0.0f, *std::max_element(x.begin(), x.end()));
  const float range = high - low;
  if (!(range > 0)) return plain;
  const float weight = sum_of(weights);
  const float step = candidate_step(table.high / 2);
  LaneWinners winners;
  std::array<float, kCandidates> zeros{};
  CandidateSums sums;
  for (int pack = 0; pack < kPacks; ++pack) {
    Candidates candidates;
    std::array<float, kCandidates> tried;
    for (int lane = 0; lane < kCandidates; ++lane) {
      const int index = pack * kCandidates + lane;  // 24 ranges, zero point rounded down and up
      const float scale = range / (table.high * (1 + step * static_cast<float>(index / 2 - 9)));
      const float zero = std::floor(-low / scale) + static_cast<float>(index % 2);
      tried[lane] = std::clamp(zero, table.low, table.high);
      candidates.scale[lane] = scale;
      candidates.offset[lane] = -scale * tried[lane];
    }
    candidate_sums(x, weights, candidates, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      const float before = winners.error[lane];
      winners.offer(lane, scale_optimum(candidates, sums, lane, tried[lane], weight), tried[lane]);
      if (winners.error[lane] < before) zeros[lane] = tried[lane];
    }
  }
  winners.candidates.scale[0] = plain.scale;
  winners.candidates.offset[0] = -plain.scale * plain.zero_point;
  zeros[0] = plain.zero_point;
  candidate_sums(x, weights, winners.candidates, table, sums);
  ScaleAndZero best = plain;
  float error = sums.rr[0];
  for (int lane = 1; lane < kCandidates; ++lane) {
    if (!(sums.rr[lane] < error) || !(winners.candidates.scale[lane] > 0)) continue;
    error = sums.rr[lane];
    best = {winners.candidates.scale[lane], zeros[lane]};
  }
  return best;
}

ScaleAndOffset search_scale_and_offset(std::span<const float> x, std::span<const float> weights,
                                       const LevelTable& table) {
  const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
  const float high = std::max(low, *std::max_element(x.begin(), x.end()));
  const float weight = sum_of(weights);
  if (!(high - low > kNegligible)) return {0, low, 0, weight};
  ScaleAndOffset best{0, 0, 0, weight};
  float best_error = std::numeric_limits<float>::infinity();
  CandidateSums sums;
  for (int pack = 0; pack < kPacks; ++pack) {
    Candidates candidates;
    for (int lane = 0; lane < kCandidates; ++lane) {
      const float top = table.high + 0.05f * static_cast<float>(pack * kCandidates + lane - 18);
      candidates.scale[lane] = (high - low) / top;
      candidates.offset[lane] = low;
    }
    candidate_sums(x, weights, candidates, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      float error = 0;
      const ScaleAndOffset tried =
          pair_optimum(candidates.scale[lane], candidates.offset[lane], sums, lane, weight, error);
      if (!(error < best_error) || !(tried.scale > 0)) continue;
      best = tried;
      best_error = error;
    }
  }
  return best;
}

float search_super_scale(std::span<const float> values, std::span<const float> weights,
                         int largest) {
  const float top = *std::max_element(values.begin(), values.end());
  if (!(top > 0)) return 0;
  float best_scale = 0;
  double best_error = std::numeric_limits<double>::infinity();
  // The largest value at code `largest`, or a little lower: 6-bit codes leave room to choose.
  const int tries = std::max(1, largest / 4);
  for (int k = 0; k < tries; ++k) {
    const float scale = round_to_half(top / static_cast<float>(largest - k));
    const float inverse = scale > 0 ? 1 / scale : 0;
    double error = 0;
    for (size_t j = 0; j < values.size(); ++j) {
      const float code =
          std::clamp(std::nearbyintf(values[j] * inverse), 0.0f, static_cast<float>(largest));
      const double difference = static_cast<double>(values[j]) - static_cast<double>(scale) * code;
      error += weights[j] * difference * difference;
    }
    if (!(error < best_error)) continue;
    best_error = error;
    best_scale = scale;
  }
  return best_scale;
}

}  // namespace frugal::grid
