// The search for scales of grid/scale_search.cpp by one team: a lane for each of the 32 candidates,
// each adding up in element order, so that the chosen parameters are those of the CPU bit for bit.
#pragma once

#include "kernels/cuda/module.h"
#include "kernels/cuda/steps.h"

namespace frugal::kernels::cuda {

constexpr int kCandidates = 16;  // compared as stored; 32 are tried before
constexpr int kRounds = 2;
constexpr float kNegligible = 0x1p-26f;
constexpr float kInfinity = __builtin_inff();

// Working memory of one team for one grid block.
struct FitMemory {
  float* x;           // [block columns] in column order
  float* weight;      // [block columns]
  float* weighted_x;  // [block columns]
  float* lane[5];     // [32] each: what lanes show each other
};
constexpr int kFitLaneArrays = 5;

// In: the block and its importance (null: all equal). Out: x-weights in memory.weight, and
// memory.weighted_x. False where there is nothing to search (search_weights).
template <class Team>
FRUGAL_STEP bool search_weights(Team& team, const float* importance, int count, float largest,
                                const FitMemory& memory) {
  const float magnitude = fabsf(largest);
  if (!(magnitude > kNegligible) || !finite(magnitude)) return false;
  const float inverse = 1 / magnitude;
  float top = 0, sigma = 0;
  team.each([&](int) {
    top = importance != nullptr ? importance[0] : 0.0f;
    float square_sum = 0;
    for (int i = 0; i < count; ++i) {
      if (importance != nullptr && top < importance[i]) top = importance[i];
      const float scaled = memory.x[i] * inverse;
      square_sum += scaled * scaled;
    }
    sigma = 2 * square_sum / static_cast<float>(count);
  });
  const bool weighted = top > 0 && finite(top);
  team.each([&](int lane) {
    for (int i = lane; i < count; i += kLanes) {
      const float scaled = memory.x[i] * inverse;
      const float weight = (weighted ? importance[i] / top : 1.0f) * sqrtf(sigma + scaled * scaled);
      memory.weight[i] = weight;
      memory.weighted_x[i] = weight * memory.x[i];
    }
  });
  return true;
}

template <class Team>
FRUGAL_STEP float signed_maximum(Team& team, const float* x, int count) {
  float largest = 0;
  team.each([&](int) {
    float found = 0;
    for (int i = 0; i < count; ++i) {
      if (fabsf(x[i]) > fabsf(found)) found = x[i];
    }
    largest = found;
  });
  return largest;
}

FRUGAL_STEP float candidate_step(float steps) {
  const float root = sqrtf(steps / 8.0f);
  return 0.1f * (1.0f < root ? root : 1.0f) / steps;
}
// candidate_stretch of the CPU: how much further than to half a long group may have to be clipped.
FRUGAL_STEP float candidate_stretch(const float* x, int count, float largest) {
  float square_sum = 0;
  for (int i = 0; i < count; ++i) square_sum += (x[i] / largest) * (x[i] / largest);
  const float over_rms = sqrtf(static_cast<float>(count) / square_sum);
  const float stretch = 0.5f * over_rms - 1;
  return 1.0f < stretch ? stretch : 1.0f;
}
// index 0..15, as candidate_factor of the CPU for 16 candidates of each sign.
FRUGAL_STEP float candidate_factor(int index, float step, float stretch) {
  constexpr int kFine = kCandidates - 5;
  constexpr float kCoarse[5] = {0.17f, 0.26f, 0.4f, 0.6f, 1.0f};
  if (index >= kFine) return 1 + stretch * kCoarse[index - kFine];
  return 1 + step * (-9 + 19 * static_cast<float>(index) / static_cast<float>(kFine - 1));
}
// index 0..15, as range_candidate of the CPU: 12 ranges around 1 that clip at the upper end, then 4
// that clip at both ends.
struct RangeCandidate {
  float factor;
  bool both_ends;
};
FRUGAL_STEP RangeCandidate range_candidate(int index, float step, float stretch) {
  constexpr float kCoarse[4] = {0.2f, 0.4f, 0.6f, 1.0f};
  if (index >= 12) return {1 + stretch * kCoarse[index - 12], true};
  return {1 + step * static_cast<float>(index - 5), false};
}

struct Sums {
  float rr, rt, tt, r, t;
};
FRUGAL_STEP Sums candidate_sums(const FitMemory& memory, int count, float scale, float offset,
                                const Levels& table) {
  const float inverse = inverse_scale(scale);
  Sums sums = {0, 0, 0, 0, 0};
  for (int i = 0; i < count; ++i) {
    const float shifted = memory.x[i] - offset;
    const float t = nearest_level(table, shifted * inverse);
    const float r = shifted - scale * t;
    const float wr = memory.weight[i] * r;
    const float wt = memory.weight[i] * t;
    sums.rr += wr * r;
    sums.rt += wr * t;
    sums.tt += wt * t;
    sums.r += wr;
    sums.t += wt;
  }
  return sums;
}

// Least-squares scale of each candidate and what it gains, xt^2 / tt; lanes 0..15 keep the better
// of their two candidates, as stored, and the plain scale takes the place of the weakest.
// Out: memory.lane[0][0..15].
template <class Team>
FRUGAL_STEP void choose_candidates(Team& team, const FitMemory& memory, int count, float largest,
                                   float plain, const Levels& table) {
  const float step = candidate_step(static_cast<float>(table.count) / 2);
  team.each([&](int lane) {
    const float stretch = candidate_stretch(memory.x, count, largest);
    const float factor = candidate_factor(lane / 2, step, stretch);
    const float scale = (lane % 2 == 0 ? largest : -largest) / (table.low * factor);
    const float inverse = inverse_scale(scale);
    float xt = 0, tt = 0;
    for (int i = 0; i < count; ++i) {
      const float t = nearest_level(table, memory.x[i] * inverse);
      const float wt = memory.weight[i] * t;
      xt += memory.weighted_x[i] * t;
      tt += wt * t;
    }
    memory.lane[1][lane] = xt;
    memory.lane[2][lane] = tt;
  });
  team.each([&](int lane) {
    if (lane >= kCandidates) return;
    float gain = 0, scale = 0;
    for (int at = lane; at < kLanes; at += kCandidates) {
      const float xt = memory.lane[1][at], tt = memory.lane[2][at];
      if (!(xt * xt > gain * tt)) continue;
      gain = xt * xt / tt;
      scale = xt / tt;
    }
    memory.lane[0][lane] = round_to_half(scale);
    memory.lane[3][lane] = gain;
  });
  team.each([&](int lane) {
    int weakest = 0;
    for (int at = 1; at < kCandidates; ++at) {
      if (memory.lane[3][at] < memory.lane[3][weakest]) weakest = at;
    }
    if (lane == weakest) memory.lane[0][lane] = plain;
  });
}

// search_scale with its plain rule: a scale that fp16 holds, the same on every lane.
template <class Team>
FRUGAL_STEP float fit_scale(Team& team, const FitMemory& memory, int count, const float* importance,
                            const Levels& table, bool plain_absolute, float plain_divisor) {
  const float largest = signed_maximum(team, memory.x, count);
  const float plain = round_to_half((plain_absolute ? fabsf(largest) : largest) / plain_divisor);
  if (!search_weights(team, importance, count, largest, memory)) return plain;
  choose_candidates(team, memory, count, largest, plain, table);
  float best_scale = plain;
  float best_error = kInfinity;
  for (int round = 0; round < kRounds; ++round) {
    team.each([&](int lane) {
      if (lane >= kCandidates) return;
      const float scale = memory.lane[0][lane];
      const Sums sums = candidate_sums(memory, count, scale, 0.0f, table);
      memory.lane[1][lane] = sums.rr;
      memory.lane[2][lane] = sums.tt > 0 ? round_to_half(scale + sums.rt / sums.tt) : scale;
    });
    float found_scale = best_scale, found_error = best_error;
    team.each([&](int) {
      float error = best_error, scale = best_scale;
      for (int at = 0; at < kCandidates; ++at) {
        if (!(memory.lane[1][at] < error)) continue;
        error = memory.lane[1][at];
        scale = memory.lane[0][at];
      }
      found_error = error;
      found_scale = scale;
    });
    best_scale = found_scale;
    best_error = found_error;
    team.each([&](int lane) {
      if (lane < kCandidates) memory.lane[0][lane] = memory.lane[2][lane];
    });
  }
  return best_scale;
}

struct ScaleAndZero {
  float scale, zero;
};

FRUGAL_STEP float clamped(float value, float low, float high) {
  return value < low ? low : (high < value ? high : value);
}

// scale_optimum of the CPU for w = scale * (t - zero).
FRUGAL_STEP ScaleAndZero scale_optimum(float scale, const Sums& sums, float zero, float weight,
                                       float& error) {
  const float rt = sums.rt - zero * sums.r;
  const float tt = sums.tt - 2 * zero * sums.t + zero * zero * weight;
  if (!(tt > 0)) {
    error = sums.rr;
    return {scale, zero};
  }
  error = sums.rr - rt * rt / tt;
  return {scale + rt / tt, zero};
}

struct Range {
  float low, high, weight;
};
template <class Team>
FRUGAL_STEP Range range_of(Team& team, const float* x, int count) {
  Range range = {0, 0, 0};
  team.each([&](int) {
    float low = x[0], high = x[0];
    for (int i = 1; i < count; ++i) {
      if (x[i] < low) low = x[i];
      if (high < x[i]) high = x[i];
    }
    range.low = low < 0.0f ? low : 0.0f;
    range.high = 0.0f < high ? high : 0.0f;
  });
  return range;
}

// 16 ranges, zero point rounded down and up; lanes 0..15 keep the better of their two, stored.
// Out: memory.lane[0] scales, memory.lane[4] zero points; the plain pair in lane 0.
template <class Team>
FRUGAL_STEP void choose_pairs(Team& team, const FitMemory& memory, int count, const Range& range,
                              float largest, ScaleAndZero plain, const Levels& table) {
  const float step = candidate_step(static_cast<float>(table.count) / 2);
  team.each([&](int lane) {
    const float span = range.high - range.low;
    const float stretch = candidate_stretch(memory.x, count, largest);
    const RangeCandidate candidate = range_candidate(lane / 2, step, stretch);
    const float tried = span / (table.high * candidate.factor);
    const float kept = candidate.both_ends ? span / table.high : tried;
    const float zero =
        clamped(floorf(-range.low / kept) + static_cast<float>(lane % 2), table.low, table.high);
    const Sums sums = candidate_sums(memory, count, tried, -tried * zero, table);
    float error = 0;
    const ScaleAndZero optimum = scale_optimum(tried, sums, zero, range.weight, error);
    memory.lane[1][lane] = error;
    memory.lane[2][lane] = optimum.scale;
    memory.lane[3][lane] = zero;
  });
  team.each([&](int lane) {
    if (lane >= kCandidates) return;
    float error = kInfinity, scale = 0, zero = 0;
    for (int at = lane; at < kLanes; at += kCandidates) {
      if (!(memory.lane[1][at] < error)) continue;
      error = memory.lane[1][at];
      scale = round_to_half(memory.lane[2][at]);
      zero = memory.lane[3][at];
    }
    memory.lane[0][lane] = lane == 0 ? plain.scale : scale;
    memory.lane[4][lane] = lane == 0 ? plain.zero : zero;
  });
}

// search_scale_and_zero with its plain rule.
template <class Team>
FRUGAL_STEP ScaleAndZero fit_scale_and_zero(Team& team, const FitMemory& memory, int count,
                                            const float* importance, const Levels& table) {
  Range range = range_of(team, memory.x, count);
  ScaleAndZero plain;
  plain.scale = round_to_half(range.high / table.high - range.low / table.high);
  plain.zero = clamped(rintf(-range.low * inverse_scale(plain.scale)), 0.0f, table.high);
  const float largest = signed_maximum(team, memory.x, count);
  if (!search_weights(team, importance, count, largest, memory)) return plain;
  if (!(range.high - range.low > 0)) return plain;
  team.each([&](int) {
    float sum = 0;
    for (int i = 0; i < count; ++i) sum += memory.weight[i];
    range.weight = sum;
  });
  choose_pairs(team, memory, count, range, largest, plain, table);
  ScaleAndZero best = plain;
  float best_error = kInfinity;
  for (int round = 0; round < kRounds; ++round) {
    team.each([&](int lane) {
      if (lane >= kCandidates) return;
      const float scale = memory.lane[0][lane], zero = memory.lane[4][lane];
      // As stored by the CPU: a winner's offset is -scale * zero.
      const Sums sums = candidate_sums(memory, count, scale, -scale * zero, table);
      float error = 0;
      memory.lane[1][lane] = sums.rr;
      memory.lane[2][lane] =
          round_to_half(scale_optimum(scale, sums, zero, range.weight, error).scale);
    });
    ScaleAndZero found = best;
    float found_error = best_error;
    team.each([&](int) {
      ScaleAndZero mine = best;
      float error = best_error;
      for (int at = 0; at < kCandidates; ++at) {
        const float scale = memory.lane[0][at];
        if (!(memory.lane[1][at] < error) || !(scale > 0 || at == 0)) continue;
        error = memory.lane[1][at];
        mine = {scale, memory.lane[4][at]};
      }
      found = mine;
      found_error = error;
    });
    best = found;
    best_error = found_error;
    team.each([&](int lane) {
      if (lane < kCandidates) memory.lane[0][lane] = memory.lane[2][lane];
    });
  }
  return best;
}

}  // namespace frugal::kernels::cuda
