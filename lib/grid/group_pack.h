// Sixteen groups side by side, one per vector lane: what the fast search works on. Where the full
// search tries sixteen candidates for one group at a time, here one candidate is tried for sixteen
// groups: nothing is decided, nor added up, between the lanes, so that a group's result does not
// depend on its neighbors. Internal.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "grid/grid.h"
#include "grid/k_block.h"
#include "grid/scale_search.h"

namespace frugal::grid {

inline constexpr int kGroupLanes = kCandidates;
using GroupValues = std::array<float, kGroupLanes>;

// Weights are held divided by a power of two near the largest of their block, so that no product
// leaves the range of float; scales and offsets are in that unit, too.
class GroupPack {
 public:
  // Loads the groups of at most 16 / spec.groups_per_block() blocks and weighs them as
  // search_weights does; lanes that are left over repeat the first block.
  void load(const GridSpec& spec, std::span<const BlockToFit> blocks);

  // False for a block of nothing, or of weights too small for any stored scale (as of
  // search_weights).
  bool searchable(int lane) const { return searchable_[lane]; }
  int64_t columns() const { return columns_; }  // of a group

  // The weight of largest magnitude with its sign, the smallest and the largest weight.
  const GroupValues& largest() const { return largest_; }
  const GroupValues& low() const { return low_; }
  const GroupValues& high() const { return high_; }
  // sqrt(columns / sum (x / largest)^2)
  float peak_over_rms(int lane) const;

  // In the unit of the file: exact, but for overflow.
  float stored(int lane, float value) const { return value * unit_[lane]; }
  KValues stored_values(const GroupValues& values,
                        int first_lane) const;  // the lanes from there on
  float normalized(int lane, float stored) const { return stored * inverse_unit_[lane]; }
  // What fp16 makes of a value.
  float rounded(int lane, float value) const;

  // See ScaleKernel.
  void improve_scales(std::span<const GroupValues> inverse, const LevelTable& table,
                      GroupScales& best) const;
  void sums(const Candidates& groups, const LevelTable& table, CandidateSums& out) const;
  // The best pairs of the weights minus `low`; their offsets are above it.
  GroupMoments best_pairs(const GroupValues& low, std::span<const GroupValues> inverse,
                          const GroupValues& highest, const LevelTable& table, GroupPairSums& best);

 private:
  void gather(const GridSpec& spec, std::span<const BlockToFit> blocks);
  void normalize(int groups_per_block);
  float first_extreme(int lane) const;
  void weigh(int groups_per_block);

  int64_t columns_ = 0;
  std::vector<float> x_, weight_, shifted_;  // [columns, 16]
  bool has_importance_ = false;
  std::array<bool, kGroupLanes> searchable_{};
  GroupValues largest_{}, low_{}, high_{}, unit_{}, inverse_unit_{}, squares_{};
};

// The pack of this thread, whose memory is used again.
GroupPack& thread_pack();

}  // namespace frugal::grid
