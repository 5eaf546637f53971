// Tested by: tests/grid/fast_search_test.cpp
// The fast search of the K types: groups' real-valued scales, then super-scales and integer
// sub-scales in turn.
#include <algorithm>
#include <cmath>
#include <limits>

#include "grid/fast_search.h"
#include "grid/grid.h"

namespace frugal::grid {
namespace {

// As nearbyint, for |y| < 2^22.
float round_small(float y) { return (y + 0x1.8p23f) - 0x1.8p23f; }

float sub_scale(float value, float inverse, const SubScales& range) {
  const float code = value * inverse;
  const auto low = static_cast<float>(range.lowest), high = static_cast<float>(range.highest);
  return round_small(std::min(std::max(code, low), high));
}

// search_super_scale with sixteen tries side by side: the largest value at the extreme code, or up
// to fifteen inside; where values have signs, at either end. As stored, in the pack's unit.
float fast_super_scale(const GroupPack& pack, int first, const GroupValues& values,
                       const GroupValues& weights, const SubScales& range) {
  float top = 0;
  for (int j = first; j < first + range.groups; ++j)
    top = std::fabs(values[j]) > std::fabs(top) ? values[j] : top;
  if (top == 0) return 0;
  float best_error = std::numeric_limits<float>::infinity(), best = 0;
  const int tries = std::clamp(range.highest / 4, 1, kGroupLanes);
  for (const int end : {range.highest, range.lowest}) {
    if (end == 0) continue;
    GroupValues scale, inverse, error{};
    for (int k = 0; k < kGroupLanes; ++k) {
      const int inside = std::min(k, tries - 1);
      scale[k] =
          pack.rounded(first, top / static_cast<float>(end > 0 ? end - inside : end + inside));
      inverse[k] = inverse_scale(scale[k]);
    }
    for (int j = first; j < first + range.groups; ++j) {
      for (int k = 0; k < kGroupLanes; ++k) {
        const float difference = values[j] - scale[k] * sub_scale(values[j], inverse[k], range);
        error[k] += weights[j] * difference * difference;
      }
    }
    for (int k = 0; k < tries; ++k) {
      if (!(error[k] < best_error)) continue;
      best_error = error[k];
      best = scale[k];
    }
  }
  return best;
}

double block_sum(const float* values, int first, int groups) {
  double sum = 0;
  for (int j = first; j < first + groups; ++j) sum += values[j];
  return sum;
}

// One lane's sub-scales and what they stand for.
struct AffineLanes {
  GroupValues s{}, m{}, d{}, dmin{};  // d and dmin of the lane's block
  void set_super(int first, int groups, float d_stored, float dmin_stored) {
    std::fill_n(d.begin() + first, groups, d_stored);
    std::fill_n(dmin.begin() + first, groups, dmin_stored);
  }
  Candidates candidates() const {
    Candidates result;
    for (int lane = 0; lane < kGroupLanes; ++lane) {
      result.scale[lane] = d[lane] * s[lane];
      result.offset[lane] = -(dmin[lane] * m[lane]);
    }
    return result;
  }
};

class AffineSearch {
 public:
  AffineSearch(GroupPack& pack, const LevelTable& table, const SubScales& range)
      : pack_(pack), table_(table), range_(range), blocks_(kGroupLanes / range.groups) {}

  void run(std::span<AffineKValues> values) {
    constexpr int kRounds = 3;
    AffineLanes best = plain_lanes(values);
    Tried plain{best.candidates(), {}};
    pack_.sums(plain.candidates, table_, plain.sums);
    GroupValues best_error;
    for (int b = 0; b < blocks_; ++b) best_error[b] = error_of(plain.sums, b);
    AffineLanes current;
    Tried last = start(current);
    for (int round = 0; round < kRounds; ++round) {
      if (round > 0) refit_super(last.sums, current);
      last = choose_sub_scales(last, current);
      for (int b = 0; b < blocks_; ++b) {
        const float error = error_of(last.sums, b);
        if (!(error < best_error[b])) continue;
        best_error[b] = error;
        copy_block(current, b, best);
      }
    }
    take(best, values);
  }

 private:
  // Scales and offsets, and what the codes that they lead to give.
  struct Tried {
    Candidates candidates;
    CandidateSums sums;
  };

  float error_of(const CandidateSums& sums, int block) const {
    return static_cast<float>(block_sum(sums.rr, block * range_.groups, range_.groups));
  }

  AffineLanes plain_lanes(std::span<const AffineKValues> values) const {
    AffineLanes lanes;
    for (int lane = 0; lane < kGroupLanes; ++lane) {
      const auto block = static_cast<size_t>(lane / range_.groups);
      const AffineKValues& from = block < values.size() ? values[block] : values.front();
      const int j = lane % range_.groups;
      lanes.s[lane] = from.s[j];
      lanes.m[lane] = from.m[j];
      lanes.d[lane] = pack_.normalized(lane, from.d);
      lanes.dmin[lane] = pack_.normalized(lane, from.dmin);
    }
    return lanes;
  }

  // Super-scales near the real-valued pairs of each lane, and those pairs.
  Tried start(AffineLanes& lanes) {
    const GroupPairs pairs = fast_pairs(pack_, table_);
    weight_ = pairs.offset_weight;
    GroupValues drop;
    for (int lane = 0; lane < kGroupLanes; ++lane) drop[lane] = -pairs.offset[lane];
    for (int b = 0; b < blocks_; ++b) {
      const int first = b * range_.groups;
      lanes.set_super(first, range_.groups,
                      fast_super_scale(pack_, first, pairs.scale, pairs.scale_weight, range_),
                      fast_super_scale(pack_, first, drop, pairs.offset_weight, range_));
    }
    Tried wished = {};  // with nothing left to gain: sums of r are 0
    std::copy_n(pairs.scale.begin(), kGroupLanes, wished.candidates.scale);
    std::copy_n(pairs.offset.begin(), kGroupLanes, wished.candidates.offset);
    std::copy_n(pairs.scale_weight.begin(), kGroupLanes, wished.sums.tt);
    std::copy_n(pairs.level_sum.begin(), kGroupLanes, wished.sums.t);
    return wished;
  }

  // Least-squares super-scales for the codes at hand.
  void refit_super(const CandidateSums& sums, AffineLanes& lanes) const {
    for (int b = 0; b < blocks_; ++b) {
      const int first = b * range_.groups;
      float d = lanes.d[first], dmin = lanes.dmin[first];
      step(first, lanes, sums, d, dmin);
      if (d > 0 && dmin >= 0) lanes.set_super(first, range_.groups, d, dmin);
    }
  }

  // The stored sub-scales of least error of three: the nearest to the scale that is best for the
  // codes of `last`, and its neighbors, each with the best offset for those codes.
  Tried choose_sub_scales(const Tried& last, AffineLanes& lanes) const {
    const GroupValues center = best_scale_codes(last, lanes);
    AffineLanes neighbor = lanes;
    Tried best = {}, tried;
    std::fill_n(best.sums.rr, kGroupLanes, std::numeric_limits<float>::infinity());
    for (int near = -1; near <= 1; ++near) {
      for (int lane = 0; lane < kGroupLanes; ++lane) {
        neighbor.s[lane] = sub_scale(center[lane] + static_cast<float>(near), 1.0f, range_);
        neighbor.m[lane] = best_offset_code(last, lanes, lane, neighbor.s[lane]);
      }
      tried.candidates = neighbor.candidates();
      pack_.sums(tried.candidates, table_, tried.sums);
      for (int lane = 0; lane < kGroupLanes; ++lane) {
        if (!(tried.sums.rr[lane] < best.sums.rr[lane])) continue;
        lanes.s[lane] = neighbor.s[lane];
        lanes.m[lane] = neighbor.m[lane];
        take_lane(tried, lane, best);
      }
    }
    return best;
  }

  GroupValues best_scale_codes(const Tried& last, const AffineLanes& lanes) const {
    GroupValues codes;
    for (int lane = 0; lane < kGroupLanes; ++lane) {
      const CandidateSums& sums = last.sums;
      const float w = weight_[lane], tt = sums.tt[lane], t = sums.t[lane];
      const float determinant = w * tt - t * t;
      const float change = determinant > 1e-6f * w * tt
                               ? (w * sums.rt[lane] - sums.r[lane] * t) / determinant
                               : 0.0f;
      codes[lane] =
          sub_scale(last.candidates.scale[lane] + change, inverse_scale(lanes.d[lane]), range_);
    }
    return codes;
  }

  float best_offset_code(const Tried& last, const AffineLanes& lanes, int lane, float s) const {
    const float w = weight_[lane];
    const float change = lanes.d[lane] * s - last.candidates.scale[lane];
    const float step = last.sums.r[lane] - change * last.sums.t[lane];
    const float offset = last.candidates.offset[lane] + (w > 0 ? step / w : 0.0f);
    return sub_scale(-offset, inverse_scale(lanes.dmin[lane]), range_);
  }

  static void take_lane(const Tried& from, int lane, Tried& to) {
    to.candidates.scale[lane] = from.candidates.scale[lane];
    to.candidates.offset[lane] = from.candidates.offset[lane];
    to.sums.rr[lane] = from.sums.rr[lane];
    to.sums.rt[lane] = from.sums.rt[lane];
    to.sums.tt[lane] = from.sums.tt[lane];
    to.sums.r[lane] = from.sums.r[lane];
    to.sums.t[lane] = from.sums.t[lane];
  }

  void step(int first, const AffineLanes& lanes, const CandidateSums& sums, float& d,
            float& dmin) const {
    double ss = 0, sm = 0, mm = 0, right_s = 0, right_m = 0;
    for (int j = first; j < first + range_.groups; ++j) {
      const double s = lanes.s[j], m = lanes.m[j];
      ss += s * s * sums.tt[j];
      sm -= s * m * sums.t[j];
      mm += m * m * weight_[j];
      right_s += s * sums.rt[j];
      right_m -= m * sums.r[j];
    }
    const double determinant = ss * mm - sm * sm;
    if (determinant > 1e-6 * ss * mm) {
      d = pack_.rounded(first, static_cast<float>(d + (mm * right_s - sm * right_m) / determinant));
      dmin = pack_.rounded(first,
                           static_cast<float>(dmin + (ss * right_m - sm * right_s) / determinant));
    } else if (ss > 0) {
      d = pack_.rounded(first, static_cast<float>(d + right_s / ss));
    }
  }

  void copy_block(const AffineLanes& from, int block, AffineLanes& to) const {
    for (int lane = block * range_.groups; lane < (block + 1) * range_.groups; ++lane) {
      to.s[lane] = from.s[lane];
      to.m[lane] = from.m[lane];
      to.d[lane] = from.d[lane];
      to.dmin[lane] = from.dmin[lane];
    }
  }

  void take(const AffineLanes& best, std::span<AffineKValues> values) const {
    for (size_t b = 0; b < values.size(); ++b) {
      const int first = static_cast<int>(b) * range_.groups;
      if (!pack_.searchable(first)) continue;
      values[b].d = pack_.stored(first, best.d[first]);
      values[b].dmin = pack_.stored(first, best.dmin[first]);
      for (int j = 0; j < range_.groups; ++j) {
        values[b].s[j] = best.s[first + j];
        values[b].m[j] = best.m[first + j];
      }
    }
  }

  GroupPack& pack_;
  const LevelTable& table_;
  const SubScales& range_;
  const int blocks_;
  GroupValues weight_{};  // sum w of each lane
};

}  // namespace

void fast_affine_k(GroupPack& pack, const LevelTable& table, const SubScales& sub_scales,
                   std::span<AffineKValues> values) {
  AffineSearch(pack, table, sub_scales).run(values);
}

void fast_signed_k(const GroupPack& pack, const LevelTable& table, const SubScales& range,
                   SignedKValues& values) {
  constexpr int kRounds = 3;
  const GroupSignedScales wished = fast_signed_scales(pack, table);
  CandidateSums sums;
  const auto candidates = [](float d, const KValues& s) {
    Candidates result;
    for (int j = 0; j < kGroupLanes; ++j) result.scale[j] = d * s[j];
    return result;
  };
  const float plain_d = pack.normalized(0, values.d);
  pack.sums(candidates(plain_d, values.s), table, sums);
  double best_error = block_sum(sums.rr, 0, kGroupLanes);
  float best_d = plain_d;
  KValues best = values.s, s, other;

  float d = fast_super_scale(pack, 0, wished.scale, wished.scale_weight, range);
  float inverse = inverse_scale(d);
  for (int j = 0; j < kGroupLanes; ++j) {
    s[j] = sub_scale(wished.scale[j], inverse, range);
    other[j] = sub_scale(wished.opposite[j], inverse, range);
  }
  CandidateSums opposite;
  pack.sums(candidates(d, other), table, opposite);
  for (int round = 0; round < kRounds; ++round) {
    pack.sums(candidates(d, s), table, sums);
    if (round == 0) {
      for (int j = 0; j < kGroupLanes; ++j) {
        if (!(opposite.rr[j] < sums.rr[j])) continue;
        s[j] = other[j];
        sums.rr[j] = opposite.rr[j];
        sums.rt[j] = opposite.rt[j];
        sums.tt[j] = opposite.tt[j];
      }
    }
    const double error = block_sum(sums.rr, 0, kGroupLanes);
    if (error < best_error) {
      best_error = error;
      best_d = d;
      best = s;
    }
    if (round + 1 == kRounds) break;
    // Least squares for d, then for each sub-scale, on the codes at hand.
    double numerator = 0, denominator = 0;
    for (int j = 0; j < kGroupLanes; ++j) {
      numerator += static_cast<double>(s[j]) * sums.rt[j];
      denominator += static_cast<double>(s[j]) * s[j] * sums.tt[j];
    }
    if (!(denominator > 0)) break;
    const float next = pack.rounded(0, static_cast<float>(d + numerator / denominator));
    inverse = inverse_scale(next);
    for (int j = 0; j < kGroupLanes; ++j) {
      if (!(sums.tt[j] > 0)) continue;
      s[j] = sub_scale(d * s[j] + sums.rt[j] / sums.tt[j], inverse, range);
    }
    d = next;
  }
  values.d = pack.stored(0, best_d);
  values.s = best;
}

}  // namespace frugal::grid
