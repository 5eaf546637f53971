// Tested by: tests/kernels/sweep_test.cpp
#include "kernels/sweep_plan.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>

namespace frugal::kernels {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("sweep: " + what); }

void check_sizes(const SweepBlock& block) {
  if (block.grid == nullptr) refuse("no grid");
  if (block.rows < 0 || block.width < 0) refuse("negative rows or width");
  if (block.rows == 0 || block.width == 0) return;
  if (block.weights == nullptr || block.factor == nullptr || block.columns == nullptr ||
      block.codes == nullptr || block.parameters == nullptr || block.errors == nullptr) {
    refuse("a required pointer is null");
  }
  if (block.weights_stride < block.width || block.errors_stride < block.width ||
      block.factor_stride < block.width) {
    refuse("a row stride is smaller than the width " + std::to_string(block.width));
  }
  for (int64_t p = 0; p < block.width; ++p) {
    if (block.columns[p] < 0) refuse("negative column at position " + std::to_string(p));
  }
  const int64_t last = *std::max_element(block.columns, block.columns + block.width);
  check_mask(*block.grid, block.mask, block.mask_stride, last + 1, "sweep");
}

// Fitting needs the current value of every weight of a block: all its columns must be in the
// window, side by side.
void check_whole_blocks(const SweepBlock& block) {
  const int64_t size = block.grid->spec().block_columns;
  if (block.width % size != 0) {
    refuse("to fit, the width " + std::to_string(block.width) +
           " must be a multiple of the grid's block of " + std::to_string(size) +
           "; fit wider blocks with fit_blocks first");
  }
  std::vector<bool> seen(static_cast<size_t>(size));
  for (int64_t start = 0; start < block.width; start += size) {
    seen.assign(static_cast<size_t>(size), false);
    const int64_t first = block.columns[start] / size;
    for (int64_t p = start; p < start + size; ++p) {
      if (block.columns[p] / size != first || seen[block.columns[p] % size]) {
        refuse("to fit, the columns of a grid block must lie side by side; position " +
               std::to_string(p) + " holds column " + std::to_string(block.columns[p]));
      }
      seen[block.columns[p] % size] = true;
    }
  }
}

}  // namespace

void fit_kept(const grid::Grid& grid, std::span<float> x, std::span<const float> importance,
              const uint8_t* mask, bool search, std::byte* parameters) {
  const auto size = static_cast<int64_t>(x.size());
  if (mask == nullptr || std::find(mask, mask + size, 0) == mask + size) {
    grid.fit(x, importance, search, parameters);
    return;
  }
  thread_local std::vector<float> kept;
  kept.assign(x.size(), 0.0f);
  for (size_t i = 0; i < x.size(); ++i) {
    if (mask[i] == 0) {
      x[i] = 0;
    } else {
      kept[i] = importance.empty() ? 1.0f : importance[i];
    }
  }
  grid.fit(x, kept, search, parameters);
}

void check_mask(const grid::Grid& grid, const uint8_t* mask, int64_t stride, int64_t columns,
                const char* what) {
  if (mask == nullptr) return;
  if (!grid.spec().holds_zero) {
    throw std::invalid_argument(std::string(what) + ": weights are pinned to zero, but grid " +
                                grid.spec().name + " has no exact zero");
  }
  if (stride < columns) {
    throw std::invalid_argument(std::string(what) + ": the mask's row stride " +
                                std::to_string(stride) + " is smaller than its " +
                                std::to_string(columns) + " columns");
  }
}

SweepPlan plan_sweep(const SweepBlock& block) {
  check_sizes(block);
  if (block.fit) check_whole_blocks(block);
  const grid::GridSpec& spec = block.grid->spec();
  SweepPlan plan;
  plan.table = block.grid->table();
  plan.groups_per_block = spec.groups_per_block();
  std::map<int64_t, int32_t> slots;
  for (int64_t p = 0; p < block.width; ++p) {
    const int64_t column = block.columns[p];
    const auto next = static_cast<int32_t>(plan.blocks.size());
    const auto [at, fresh] = slots.try_emplace(column / spec.block_columns, next);
    if (fresh) plan.blocks.push_back(at->first);
    plan.fit_at.push_back(fresh && block.fit ? next : -1);
    const int64_t inside = column % spec.block_columns / spec.group_columns;
    plan.group.push_back(static_cast<int32_t>(at->second * plan.groups_per_block + inside));
  }
  return plan;
}

}  // namespace frugal::kernels
