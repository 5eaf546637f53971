#include "grid/scale_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "grid/grid.h"
#include "grid/half.h"
#include "grid/scale_kernels.h"

namespace frugal::grid {
namespace {

constexpr int kPacks = 2;  // 32 candidates for each search
constexpr int kRounds = 2;
constexpr int kSuperTries = 16;
// Below this no product of a stored scale and a level is anything but 0 or larger than twice the
// weight.
constexpr float kNegligible = 0x1p-26f;

constexpr ScaleKernel kScaleKernels[] = {
#if FRUGAL_X86_TARGETS
    {"avx512", has_avx512, avx512_sums, avx512_correlate, avx512_encode},
    {"avx2", has_avx2, avx2_sums, avx2_correlate, avx2_encode},
#endif
    {"plain", always_available, plain_sums, plain_correlate, plain_encode},
};

void candidate_sums(std::span<const float> x, std::span<const float> weights,
                    const Candidates& candidates, const LevelTable& table, CandidateSums& out) {
  scale_kernel().sums(x.data(), weights.data(), static_cast<int64_t>(x.size()), candidates, table,
                      out);
}

// How far the extreme level is moved from one candidate to the next, relative to that level: about
// a tenth of the distance between levels, more where levels are fine. `steps`: levels on one side.
float candidate_step(float steps) { return 0.1f * std::max(1.0f, std::sqrt(steps / 8.0f)) / steps; }

// How much further than to half a long group may have to be clipped: few levels serve the bulk of
// the weights, and the largest is then far outside (1 in groups of up to 16).
float candidate_stretch(std::span<const float> x, float largest) {
  float square_sum = 0;
  for (const float value : x) square_sum += (value / largest) * (value / largest);
  const float over_rms = std::sqrt(static_cast<float>(x.size()) / square_sum);
  return std::max(1.0f, 0.5f * over_rms - 1);
}

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
  return (index % 2 == 0 ? largest : -largest) / (table.low * factor);
}

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

// Weighted sums of a block that candidates share, and what the loops take.
struct Moments {
  std::vector<float> x;           // minus a common offset
  std::vector<float> weighted_x;  // weight * x
  float weight = 0;               // sum w
  float first = 0;                // sum w x
  float second = 0;               // sum w x^2
};

// The working memory of this thread; valid until the next call.
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
