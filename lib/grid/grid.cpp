#include "grid/grid.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "grid/float8.h"
#include "grid/scale_search.h"

namespace frugal::grid {

Grid::Grid(GridSpec spec) : spec_(std::move(spec)) {
  const std::vector<float>& levels = spec_.levels;
  for (size_t i = 0; i + 1 < levels.size(); ++i)
    midpoints_.push_back((levels[i] + levels[i + 1]) * 0.5f);
  if (!spec_.affine)  // an affine grid says so itself: where its offset is a multiple of its scale
    spec_.holds_zero = std::find(levels.begin(), levels.end(), 0.0f) != levels.end();
}

LevelTable Grid::table() const {
  return {.levels = spec_.levels.data(),
          .midpoints = midpoints_.data(),
          .count = static_cast<int>(spec_.levels.size()),
          .uniform = spec_.uniform,
          .float8 = spec_.float8,
          .low = spec_.levels.front(),
          .high = spec_.levels.back()};
}

void Grid::fit_fast(std::span<const BlockToFit> blocks) const {
  const auto width = static_cast<size_t>(spec_.block_columns);
  for (const BlockToFit& block : blocks) {
    const std::span<const float> importance(block.importance,
                                            block.importance == nullptr ? 0 : width);
    fit({block.x, width}, importance, /*search=*/true, block.parameters);
  }
}

uint8_t Grid::nearest_code(float y) const {
  if (spec_.float8) return float8_code(round_to_float8(y));
  if (!spec_.uniform) {
    return static_cast<uint8_t>(std::lower_bound(midpoints_.begin(), midpoints_.end(), y) -
                                midpoints_.begin());
  }
  const float low = spec_.levels.front();
  const float raised = y > low ? y : low;  // NaN becomes the lowest level
  const float level = std::nearbyintf(std::min(raised, spec_.levels.back()));
  return static_cast<uint8_t>(static_cast<int>(level - low));
}

void Grid::encode(const float* x, const std::byte* parameters, uint8_t* codes) const {
  const int64_t groups = spec_.groups_per_block();
  std::array<float, kMaxGroupsPerBlock> scale;
  std::array<float, kMaxGroupsPerBlock> offset;
  expand(parameters, scale.data(), offset.data());
  const LevelTable levels = table();
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t start = g * spec_.group_columns;
    scale_kernel().encode(x + start, spec_.group_columns, scale[g], offset[g], levels,
                          codes + start);
  }
}

void Grid::decode(const std::byte* parameters, const uint8_t* codes, float* x) const {
  std::array<float, kMaxGroupsPerBlock> scale;
  std::array<float, kMaxGroupsPerBlock> offset;
  expand(parameters, scale.data(), offset.data());
  for (int64_t i = 0; i < spec_.block_columns; ++i) {
    const int64_t g = i / spec_.group_columns;
    const float product = scale[g] * spec_.levels[codes[i]];
    x[i] = spec_.affine ? product + offset[g] : product;  // + 0 would lose the sign of -0
  }
}

}  // namespace frugal::grid
