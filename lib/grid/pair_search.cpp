// Tested by: tests/grid/scale_search_test.cpp
// Searches for two numbers a block: a scale with a zero point, or with an offset.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "grid/half.h"
#include "grid/scale_candidates.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

// The range over `factor` between the extreme levels: 12 around 1 that clip at the upper end, then
// 4 that clip at both ends.
struct RangeCandidate {
  float factor;
  bool both_ends;
};
RangeCandidate range_candidate(int index, float step, float stretch) {
  constexpr std::array<float, 4> kCoarse = {0.2f, 0.4f, 0.6f, 1.0f};
  if (index >= 12) return {1 + stretch * kCoarse[index - 12], true};
  return {1 + step * static_cast<float>(index - 5), false};
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

// The pair (scale, offset) that minimizes sum w (x - scale t - offset)^2, offset <= `highest`
// (infinity: any).
ScaleAndOffset pair_optimum(const Moments& m, const Correlations& c, int i, float highest,
                            float& error) {
  const float determinant = m.weight * c.tt[i] - c.t[i] * c.t[i];
  ScaleAndOffset found{0, highest, c.tt[i], m.weight};
  if (determinant > 1e-6f * m.weight * c.tt[i]) {
    found.scale = (m.weight * c.xt[i] - m.first * c.t[i]) / determinant;
    found.offset = (c.tt[i] * m.first - c.t[i] * c.xt[i]) / determinant;
  }
  if (found.offset >= highest) {
    found.offset = highest;
    found.scale = c.tt[i] > 0 ? (c.xt[i] - highest * c.t[i]) / c.tt[i] : 0.0f;
  }
  error = m.second - 2 * (found.scale * c.xt[i] + found.offset * m.first) +
          found.scale * found.scale * c.tt[i] + 2 * found.scale * found.offset * c.t[i] +
          found.offset * found.offset * m.weight;
  return found;
}

// Where the largest weight falls when the smallest is on level 0; 32 candidates.
float range_level(int index, const LevelTable& table) {
  return table.high + 0.1f * static_cast<float>(index - 14);
}

// As best_stored_scale for pairs: the scale is rounded, then the offset that suits it.
ScaleAndOffset best_stored_pair(std::span<const float> x, std::span<const float> weights,
                                const LevelTable& table, Candidates candidates,
                                ScaleAndOffset fallback) {
  constexpr int kPairRounds = 3;
  const float weight = sum_of(weights);
  ScaleAndOffset best = fallback;
  float best_error = std::numeric_limits<float>::infinity();
  for (int round = 0; round < kPairRounds; ++round) {
    CandidateSums sums;
    candidate_sums(x, weights, candidates, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      float& scale = candidates.scale[lane];
      float& offset = candidates.offset[lane];
      if (sums.rr[lane] < best_error) {
        best_error = sums.rr[lane];
        best = {scale, offset, 0, 0};
      }
      const float determinant = weight * sums.tt[lane] - sums.t[lane] * sums.t[lane];
      if (!(determinant > 1e-6f * weight * sums.tt[lane])) continue;
      const float wished =
          scale + (weight * sums.rt[lane] - sums.r[lane] * sums.t[lane]) / determinant;
      const float stored = round_to_half(std::max(wished, 0.0f));
      offset = round_to_half(offset + (sums.r[lane] - (stored - scale) * sums.t[lane]) / weight);
      scale = stored;
    }
  }
  return best;
}

}  // namespace

ScaleAndZero search_scale_and_zero(std::span<const float> x, std::span<const float> weights,
                                   const LevelTable& table, ScaleAndZero plain) {
  const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
  const float high = std::max(0.0f, *std::max_element(x.begin(), x.end()));
  const float range = high - low;
  if (!(range > 0)) return plain;
  const float weight = sum_of(weights);
  const float step = candidate_step(static_cast<float>(table.count) / 2);
  const float stretch = candidate_stretch(x, signed_maximum(x));
  LaneWinners winners;
  std::array<float, kCandidates> zeros{};
  CandidateSums sums;
  for (int pack = 0; pack < kPacks; ++pack) {
    Candidates candidates;
    std::array<float, kCandidates> tried;
    for (int lane = 0; lane < kCandidates; ++lane) {
      const int index = pack * kCandidates + lane;  // 16 ranges, zero point rounded down and up
      const RangeCandidate candidate = range_candidate(index / 2, step, stretch);
      const float scale = range / (table.high * candidate.factor);
      const float kept = candidate.both_ends ? range / table.high : scale;
      const float zero = std::floor(-low / kept) + static_cast<float>(index % 2);
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
  ScaleAndZero best = plain;
  float error = std::numeric_limits<float>::infinity();
  for (int round = 0; round < kRounds; ++round) {
    candidate_sums(x, weights, winners.candidates, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      float& scale = winners.candidates.scale[lane];
      if (sums.rr[lane] < error && (scale > 0 || lane == 0)) {
        error = sums.rr[lane];
        best = {scale, zeros[lane]};
      }
      scale =
          round_to_half(scale_optimum(winners.candidates, sums, lane, zeros[lane], weight).scale);
      winners.candidates.offset[lane] = -scale * zeros[lane];
    }
  }
  return best;
}

ScaleAndOffset search_scale_and_offset(std::span<const float> x, std::span<const float> weights,
                                       const LevelTable& table) {
  const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
  const float high = std::max(low, *std::max_element(x.begin(), x.end()));
  const Moments& moments = moments_of(x, weights, low);
  if (!(high - low > kNegligible)) return {0, low, 0, moments.weight};
  ScaleAndOffset best{0, 0, 0, moments.weight};
  float best_error = std::numeric_limits<float>::infinity();
  for (int pack = 0; pack < kPacks; ++pack) {
    alignas(64) float scale[kCandidates];
    for (int lane = 0; lane < kCandidates; ++lane) {
      scale[lane] = (high - low) / range_level(pack * kCandidates + lane, table);
    }
    Correlations sums;
    scale_kernel().correlate(moments.x.data(), moments.weighted_x.data(), weights.data(),
                             static_cast<int64_t>(x.size()), scale, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      float error = 0;
      const ScaleAndOffset tried = pair_optimum(moments, sums, lane, -low, error);
      if (!(error < best_error) || !(tried.scale > 0)) continue;
      best = tried;
      best_error = error;
    }
  }
  best.offset += low;
  return best;
}

ScaleAndOffset search_stored_pair(std::span<const float> x, std::span<const float> weights,
                                  const LevelTable& table, ScaleAndOffset plain) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  if (!(*high - *low > kNegligible)) return plain;
  const Moments& moments = moments_of(x, weights, *low);
  Candidates candidates;
  std::array<float, kCandidates> errors;
  errors.fill(std::numeric_limits<float>::infinity());
  for (int pack = 0; pack < kPacks; ++pack) {
    alignas(64) float scale[kCandidates];
    for (int lane = 0; lane < kCandidates; ++lane)
      scale[lane] = (*high - *low) / range_level(pack * kCandidates + lane, table);
    Correlations sums;
    scale_kernel().correlate(moments.x.data(), moments.weighted_x.data(), weights.data(),
                             static_cast<int64_t>(x.size()), scale, table, sums);
    for (int lane = 0; lane < kCandidates; ++lane) {
      float error = 0;
      const ScaleAndOffset tried =
          pair_optimum(moments, sums, lane, std::numeric_limits<float>::infinity(), error);
      if (!(error < errors[lane]) || !(tried.scale > 0)) continue;
      errors[lane] = error;
      candidates.scale[lane] = round_to_half(tried.scale);
      candidates.offset[lane] = round_to_half(tried.offset + *low);
    }
  }
  const auto weakest = std::max_element(errors.begin(), errors.end()) - errors.begin();
  candidates.scale[weakest] = plain.scale;
  candidates.offset[weakest] = plain.offset;
  return best_stored_pair(x, weights, table, candidates, plain);
}

}  // namespace frugal::grid
