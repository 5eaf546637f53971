// Tested by: tests/grid/fast_search_test.cpp
#include "grid/group_pack.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "grid/half.h"
#include "grid/scale_candidates.h"

namespace frugal::grid {
namespace {

using Quad = float __attribute__((vector_size(16)));

Quad load_quad(const float* from) {
  Quad quad;
  __builtin_memcpy(&quad, from, sizeof quad);
  return quad;
}

// rows[r][c] -> out[c][16], r = 0..3.
void transpose_quads(const std::array<const float*, 4>& rows, float* out) {
  const Quad a = load_quad(rows[0]), b = load_quad(rows[1]);
  const Quad c = load_quad(rows[2]), d = load_quad(rows[3]);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Quad cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const std::array<Quad, 4> columns = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                                       __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                                       __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                                       __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) __builtin_memcpy(out + i * kGroupLanes, &columns[i], sizeof(Quad));
}

void transpose(const std::array<const float*, kGroupLanes>& rows, int64_t columns, float* out) {
  const int64_t quads = columns / 4 * 4;
  for (int lane = 0; lane < kGroupLanes; lane += 4) {
    for (int64_t i = 0; i < quads; i += 4) {
      transpose_quads({rows[lane] + i, rows[lane + 1] + i, rows[lane + 2] + i, rows[lane + 3] + i},
                      out + i * kGroupLanes + lane);
    }
  }
  for (int64_t i = quads; i < columns; ++i) {
    for (int lane = 0; lane < kGroupLanes; ++lane) out[i * kGroupLanes + lane] = rows[lane][i];
  }
}

// The power of two at or below `value` > 0, within what has a normal inverse.
float power_below(float value) {
  const float power = std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0x7f800000u);
  return std::clamp(power, 0x1p-126f, 0x1p126f);
}

// The largest (or the sum) over the lanes of a block, in each of them.
template <typename Combine>
void share(GroupValues& values, int groups_per_block, const Combine& combine) {
  for (int first = 0; first + groups_per_block <= kGroupLanes; first += groups_per_block) {
    float all = values[first];
    for (int g = 1; g < groups_per_block; ++g) all = combine(all, values[first + g]);
    for (int g = 0; g < groups_per_block; ++g) values[first + g] = all;
  }
}

float larger(float a, float b) { return a > b ? a : b; }

}  // namespace

void GroupPack::load(const GridSpec& spec, std::span<const BlockToFit> blocks) {
  const auto groups_per_block = static_cast<int>(spec.groups_per_block());
  gather(spec, blocks);
  normalize(groups_per_block);
  weigh(groups_per_block);
}

void GroupPack::gather(const GridSpec& spec, std::span<const BlockToFit> blocks) {
  const int64_t groups_per_block = spec.groups_per_block();
  columns_ = spec.group_columns;
  const auto size = static_cast<size_t>(columns_ * kGroupLanes);
  x_.resize(size);
  weight_.resize(size);
  std::array<const float*, kGroupLanes> x{}, importance{};
  has_importance_ = blocks.front().importance != nullptr;
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    const auto b = static_cast<size_t>(lane / groups_per_block);
    const BlockToFit& block = b < blocks.size() ? blocks[b] : blocks.front();
    const int64_t start = lane % groups_per_block * columns_;
    x[lane] = block.x + start;
    if (has_importance_) importance[lane] = block.importance + start;
  }
  transpose(x, columns_, x_.data());
  if (has_importance_) transpose(importance, columns_, weight_.data());
}

void GroupPack::normalize(int groups_per_block) {
  const ScaleKernel& kernel = scale_kernel();
  kernel.group_range(x_.data(), columns_, low_.data(), high_.data());
  GroupValues block_largest;
  for (int lane = 0; lane < kGroupLanes; ++lane)
    block_largest[lane] = larger(high_[lane], -low_[lane]);
  share(block_largest, groups_per_block, larger);
  for (int lane = 0; lane < kGroupLanes; ++lane) {
    searchable_[lane] = block_largest[lane] > kNegligible && std::isfinite(block_largest[lane]);
    unit_[lane] = searchable_[lane] ? power_below(block_largest[lane]) : 1.0f;
    inverse_unit_[lane] = 1 / unit_[lane];
    low_[lane] *= inverse_unit_[lane];
    high_[lane] *= inverse_unit_[lane];
    largest_[lane] = high_[lane] > -low_[lane] ? high_[lane] : low_[lane];
    if (high_[lane] == -low_[lane] && high_[lane] > 0) largest_[lane] = first_extreme(lane);
  }
  kernel.group_multiply(x_.data(), columns_, inverse_unit_.data(), squares_.data());
}

// Of two extremes of one size the first, as signed_maximum (the weights are not normalized yet).
float GroupPack::first_extreme(int lane) const {
  const float size = high_[lane] * unit_[lane];
  for (int64_t i = 0; i < columns_; ++i) {
    const float value = x_[i * kGroupLanes + lane];
    if (std::fabs(value) == size) return value * inverse_unit_[lane];
  }
  return high_[lane];
}

void GroupPack::weigh(int groups_per_block) {
  const ScaleKernel& kernel = scale_kernel();
  const float count = static_cast<float>(columns_ * groups_per_block);
  GroupValues sigma = squares_;
  share(sigma, groups_per_block, [](float a, float b) { return a + b; });
  for (float& value : sigma) value = 2 * value / count;
  if (has_importance_) {
    GroupValues top, unused;
    kernel.group_range(weight_.data(), columns_, unused.data(), top.data());
    share(top, groups_per_block, larger);
    for (int lane = 0; lane < kGroupLanes; ++lane) {
      const bool weighted = top[lane] >= 0x1p-126f && std::isfinite(top[lane]);
      top[lane] = weighted ? 1 / power_below(top[lane]) : 0.0f;
      if (weighted) continue;
      for (int64_t i = 0; i < columns_; ++i) weight_[i * kGroupLanes + lane] = 1;
      top[lane] = 1;
    }
    kernel.group_multiply(weight_.data(), columns_, top.data(), unused.data());
  } else {
    std::fill(weight_.begin(), weight_.end(), 1.0f);
  }
  kernel.group_weigh(x_.data(), columns_, sigma.data(), weight_.data());
}

float GroupPack::peak_over_rms(int lane) const {
  const float peak = largest_[lane] * largest_[lane];
  return peak > 0 ? std::sqrt(static_cast<float>(columns_) * peak / squares_[lane]) : 0.0f;
}

KValues GroupPack::stored_values(const GroupValues& values, int first_lane) const {
  KValues result{};
  for (int lane = first_lane; lane < kGroupLanes; ++lane)
    result[lane - first_lane] = stored(lane, values[lane]);
  return result;
}

float GroupPack::rounded(int lane, float value) const {
  return normalized(lane, round_to_half(stored(lane, value)));
}

void GroupPack::improve_scales(std::span<const GroupValues> inverse, const LevelTable& table,
                               GroupScales& best) const {
  scale_kernel().group_scales(x_.data(), weight_.data(), columns_, inverse.front().data(),
                              static_cast<int>(inverse.size()), table, best);
}

void GroupPack::sums(const Candidates& groups, const LevelTable& table, CandidateSums& out) const {
  scale_kernel().group_sums(x_.data(), weight_.data(), columns_, groups, table, out);
}

GroupMoments GroupPack::best_pairs(const GroupValues& low, std::span<const GroupValues> inverse,
                                   const GroupValues& highest, const LevelTable& table,
                                   GroupPairSums& best) {
  const ScaleKernel& kernel = scale_kernel();
  GroupMoments moments;
  shifted_.resize(x_.size());
  kernel.group_moments(x_.data(), weight_.data(), columns_, low.data(), shifted_.data(), moments);
  kernel.group_pairs(shifted_.data(), weight_.data(), columns_, inverse.front().data(),
                     static_cast<int>(inverse.size()), moments, highest.data(), table, best);
  return moments;
}

GroupPack& thread_pack() {
  thread_local GroupPack pack;
  return pack;
}

}  // namespace frugal::grid
