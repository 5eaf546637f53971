#include "grid/fast_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "grid/scale_candidates.h"

namespace frugal::grid {
namespace {

constexpr int kManyLevels = 128;

// Two or three levels serve the bulk of the weights: the best scale is far from the candidates,
// which put the largest weight near a level.
int least_squares_rounds(const LevelTable& table) {
  return table.uniform && table.low >= -1 ? 5 : 1;
}

GroupScales nothing_found() {
  GroupScales best = {};
  std::fill_n(best.tt, kGroupLanes, 1.0f);
  return best;
}

GroupValues scales_of(const GroupScales& best) {
  GroupValues result;
  for (int lane = 0; lane < kGroupLanes; ++lane) result[lane] = best.xt[lane] / best.tt[lane];
  return result;
}

// The candidates of search_scale, fewer of them: factors on the largest weight's level around 1,
// then some that clip it.
class ScaleCandidates {
 public:
  // How many there are of each sign.
  static constexpr int kFine = 7;
  static constexpr int kAll = kFine + 2;
  static constexpr float kClipping[] = {0.26f, 0.6f};

  ScaleCandidates(const GroupPack& pack, const LevelTable& table)
      : largest_(pack.largest()), table_(table) {
    for (int lane = 0; lane < kGroupLanes; ++lane)
      stretch_[lane] = std::max(1.0f, 0.5f * pack.peak_over_rms(lane) - 1);
    const float step = candidate_step(static_cast<float>(table.count) / 2);
    for (int i = 0; i < kFine; ++i)
      fine_[i] = 1 + step * (-9 + 19 * (static_cast<float>(i) + 0.5f) / kFine);
  }

  // sign 1: the largest weight meets the extreme level; -1: what would lie opposite to it.
  std::span<const GroupValues> inverses(float sign) {
    GroupValues base;
    for (int lane = 0; lane < kGroupLanes; ++lane)
      base[lane] = sign * table_.extreme() * inverse_scale(largest_[lane]);
    for (int i = 0; i < kFine; ++i) {
      for (int lane = 0; lane < kGroupLanes; ++lane) inverse_[i][lane] = base[lane] * fine_[i];
    }
    for (int i = kFine; i < kAll; ++i) {
      for (int lane = 0; lane < kGroupLanes; ++lane)
        inverse_[i][lane] = base[lane] * (1 + stretch_[lane] * kClipping[i - kFine]);
    }
    return inverse_;
  }

  // The levels of FP8 repeat with every factor of 2, and are symmetric: an octave of one sign, in
  // kOctaveParts calls.
  static constexpr int kOctaveParts = 3;
  std::span<const GroupValues> octave(int part) {
    for (int i = 0; i < kAll; ++i) {
      const float position = static_cast<float>(kOctaveParts * i + part) / (kOctaveParts * kAll);
      const float factor = table_.high * (1.26f - 0.75f * position);
      for (int lane = 0; lane < kGroupLanes; ++lane)
        inverse_[i][lane] = factor * inverse_scale(std::fabs(largest_[lane]));
    }
    return inverse_;
  }

 private:
  const GroupValues& largest_;
  const LevelTable& table_;
  GroupValues stretch_;
  std::array<float, kFine> fine_;
  std::array<GroupValues, kAll> inverse_;
};

}  // namespace

GroupValues fast_scales(const GroupPack& pack, const LevelTable& table, const GroupValues& plain) {
  ScaleCandidates candidates(pack, table);
  GroupScales best = nothing_found();
  if (table.float8) {
    for (int part = 0; part < ScaleCandidates::kOctaveParts; ++part)
      pack.improve_scales(candidates.octave(part), table, best);
  } else {
    pack.improve_scales(candidates.inverses(1), table, best);
    // The end that has a level more is worth a choice where levels are few.
    if (table.count < kManyLevels) pack.improve_scales(candidates.inverses(-1), table, best);
  }
  for (int round = 0; round < least_squares_rounds(table); ++round) {
    GroupValues inverse;
    for (int lane = 0; lane < kGroupLanes; ++lane)
      inverse[lane] = best.xt[lane] == 0 ? 0.0f : best.tt[lane] / best.xt[lane];
    pack.improve_scales({&inverse, 1}, table, best);
  }
  const GroupValues wished = scales_of(best);
  Candidates plain_scales, scales;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    plain_scales.scale[lane] = pack.normalized(lane, plain[lane]);
    scales.scale[lane] = pack.rounded(lane, wished[lane]);
  }
  CandidateSums plain_sums, sums;
  pack.sums(plain_scales, table, plain_sums);
  pack.sums(scales, table, sums);
  GroupValues found;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    found[lane] =
        sums.rr[lane] < plain_sums.rr[lane] ? pack.stored(lane, scales.scale[lane]) : plain[lane];
  }
  return found;
}

GroupSignedScales fast_signed_scales(const GroupPack& pack, const LevelTable& table) {
  ScaleCandidates candidates(pack, table);
  GroupScales one = nothing_found(), two = one;
  pack.improve_scales(candidates.inverses(1), table, one);
  pack.improve_scales(candidates.inverses(-1), table, two);
  const GroupValues scales = scales_of(one), others = scales_of(two);
  GroupSignedScales result;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    const bool first =
        !(two.xt[lane] * two.xt[lane] * one.tt[lane] > one.xt[lane] * one.xt[lane] * two.tt[lane]);
    result.scale[lane] = first ? scales[lane] : others[lane];
    result.opposite[lane] = first ? others[lane] : scales[lane];
    result.scale_weight[lane] = first ? one.tt[lane] : two.tt[lane];
  }
  return result;
}

namespace {

// Candidate ranges from `low` to the largest weight: that weight falls `below` to `above` the
// highest level.
struct PairRange {
  int count;
  float below, above;
};
// Sub-scales are chosen again from what stands; a stored pair is close to what is found here.
constexpr PairRange kSubScalePairs = {12, 1.0f, 1.0f};
constexpr PairRange kStoredPairs = {24, 1.4f, 1.8f};
constexpr int kMostPairs = 24;

struct PairSearch {
  PairSearch(GroupPack& pack, const LevelTable& table, const PairRange& ranges,
             const GroupValues& low, const GroupValues& highest) {
    const float step = (ranges.below + ranges.above) / static_cast<float>(ranges.count);
    std::array<GroupValues, kMostPairs> inverse;
    for (int i = 0; i < ranges.count; ++i) {
      const float level = table.high - ranges.below + step * (static_cast<float>(i) + 0.5f);
      for (int lane = 0; lane < kGroupLanes; ++lane)
        inverse[i][lane] = level * inverse_scale(pack.high()[lane] - low[lane]);
    }
    std::fill_n(best.error, kGroupLanes, std::numeric_limits<float>::infinity());
    moments = pack.best_pairs(low, {inverse.data(), static_cast<size_t>(ranges.count)}, highest,
                              table, best);
  }
  GroupPairSums best = {};
  GroupMoments moments;
};

}  // namespace

GroupPairs fast_pairs(GroupPack& pack, const LevelTable& table) {
  GroupValues low, highest;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    low[lane] = std::min(0.0f, pack.low()[lane]);
    highest[lane] = -low[lane];
  }
  const PairSearch search(pack, table, kSubScalePairs, low, highest);
  GroupPairs result;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    result.scale[lane] = search.best.scale[lane];
    result.offset[lane] = std::min(0.0f, search.best.offset[lane] + low[lane]);
    result.scale_weight[lane] = search.best.tt[lane];
    result.level_sum[lane] = search.best.t[lane];
    result.offset_weight[lane] = search.moments.weight[lane];
  }
  return result;
}

Candidates fast_stored_pairs(GroupPack& pack, const LevelTable& table, const Candidates& plain) {
  constexpr int kPairRounds = 3;
  GroupValues unbound;
  unbound.fill(std::numeric_limits<float>::max());
  const PairSearch search(pack, table, kStoredPairs, pack.low(), unbound);
  Candidates best, tried;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    best.scale[lane] = pack.normalized(lane, plain.scale[lane]);
    best.offset[lane] = pack.normalized(lane, plain.offset[lane]);
    tried.scale[lane] = pack.rounded(lane, search.best.scale[lane]);
    tried.offset[lane] = pack.rounded(lane, search.best.offset[lane] + pack.low()[lane]);
  }
  CandidateSums sums;
  pack.sums(best, table, sums);
  GroupValues error;
  std::copy_n(sums.rr, kGroupLanes, error.begin());
  for (int round = 0; round < kPairRounds; ++round) {
    pack.sums(tried, table, sums);
    for (int lane = 0; lane < kGroupLanes; ++lane) {
      if (sums.rr[lane] < error[lane]) {
        error[lane] = sums.rr[lane];
        best.scale[lane] = tried.scale[lane];
        best.offset[lane] = tried.offset[lane];
      }
      const float weight = search.moments.weight[lane];
      const float determinant = weight * sums.tt[lane] - sums.t[lane] * sums.t[lane];
      if (!(determinant > 1e-6f * weight * sums.tt[lane])) continue;
      float& scale = tried.scale[lane];
      float& offset = tried.offset[lane];
      const float wished =
          scale + (weight * sums.rt[lane] - sums.r[lane] * sums.t[lane]) / determinant;
      const float stored = pack.rounded(lane, std::max(wished, 0.0f));
      offset =
          pack.rounded(lane, offset + (sums.r[lane] - (stored - scale) * sums.t[lane]) / weight);
      scale = stored;
    }
  }
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    best.scale[lane] = pack.stored(lane, best.scale[lane]);
    best.offset[lane] = pack.stored(lane, best.offset[lane]);
  }
  return best;
}

}  // namespace frugal::grid
