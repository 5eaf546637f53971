// The fast search for scales: a few candidates in every lane of a pack, each with its least-squares
// scale (or scale and offset) in closed form; the best is improved by further rounds of least
// squares on its codes and compared as stored with the plain rule, than which no result is worse.
// Internal.
#pragma once

#include <span>

#include "grid/group_pack.h"
#include "grid/k_block.h"

namespace frugal::grid {

// Scales that fp16 can hold, for w = scale * t. `plain`: what the plain rule stores.
GroupValues fast_scales(const GroupPack& pack, const LevelTable& table, const GroupValues& plain);

// Pairs that fp16 can hold, for w = scale * t + offset of either sign.
Candidates fast_stored_pairs(GroupPack& pack, const LevelTable& table, const Candidates& plain);

// The sub-scales of a K type.
struct SubScales {
  int groups;   // in a block
  int lowest;   // sub-scales are whole numbers from here ...
  int highest;  // ... to here
};

// `values` of each block in the pack: in, what the plain rule stores; out, what was found.
void fast_affine_k(GroupPack& pack, const LevelTable& table, const SubScales& sub_scales,
                   std::span<AffineKValues> values);
void fast_signed_k(const GroupPack& pack, const LevelTable& table, const SubScales& sub_scales,
                   SignedKValues& values);

// For the K types: real-valued pairs, offset <= 0, with the sums that choosing super-scales needs;
// and the best scales of each sign (the better of the two first).
struct GroupPairs {
  GroupValues scale{}, offset{};
  GroupValues scale_weight{};   // sum w t^2
  GroupValues level_sum{};      // sum w t
  GroupValues offset_weight{};  // sum w
};
GroupPairs fast_pairs(GroupPack& pack, const LevelTable& table);
struct GroupSignedScales {
  GroupValues scale{}, opposite{}, scale_weight{};
};
GroupSignedScales fast_signed_scales(const GroupPack& pack, const LevelTable& table);

}  // namespace frugal::grid
