// Tested by: tests/kernels/sweep_test.cpp
#include <cmath>

#include "kernels/sweep_kernels.h"

namespace frugal::kernels {
namespace {

struct Row {
  std::vector<float> weights;  // [width], current
  std::vector<float> scale;    // [groups]
  std::vector<float> offset;   // [groups]
};

void read_parameters(const SweepBlock& block, const SweepPlan& plan, int64_t slot,
                     const std::byte* parameters, Row& row) {
  const int64_t group = slot * plan.groups_per_block;
  block.grid->expand(parameters + plan.blocks[slot] * block.grid->spec().parameter_bytes,
                     &row.scale[group], &row.offset[group]);
}

void fit_slot(const SweepBlock& block, const SweepPlan& plan, int64_t position, const uint8_t* mask,
              std::byte* parameters, Row& row) {
  const grid::GridSpec& spec = block.grid->spec();
  const int32_t slot = plan.fit_at[position];
  const int64_t start = plan.blocks[slot] * spec.block_columns;
  std::vector<float> x(spec.block_columns);
  for (int64_t p = position; p < position + spec.block_columns; ++p)
    x[block.columns[p] - start] = row.weights[p];
  std::span<const float> importance;
  if (block.importance != nullptr) importance = {block.importance + start, x.size()};
  fit_kept(*block.grid, x, importance, mask == nullptr ? nullptr : mask + start, /*search=*/true,
           parameters + plan.blocks[slot] * spec.parameter_bytes);
  read_parameters(block, plan, slot, parameters, row);
}

void sweep_row(const SweepBlock& block, const SweepPlan& plan, int64_t r, Row& row) {
  const std::vector<float>& levels = block.grid->spec().levels;
  std::byte* const parameters = block.parameters + r * block.parameters_stride;
  row.weights.assign(block.weights + r * block.weights_stride,
                     block.weights + r * block.weights_stride + block.width);
  for (int64_t slot = 0; !block.fit && slot < static_cast<int64_t>(plan.blocks.size()); ++slot) {
    read_parameters(block, plan, slot, parameters, row);
  }
  const uint8_t* const mask = block.mask == nullptr ? nullptr : block.mask + r * block.mask_stride;
  double loss = 0;
  for (int64_t p = 0; p < block.width; ++p) {
    if (plan.fit_at[p] >= 0) fit_slot(block, plan, p, mask, parameters, row);
    const float* const factor = block.factor + p * block.factor_stride;
    const float scale = row.scale[plan.group[p]];
    const float offset = row.offset[plan.group[p]];
    const float w = row.weights[p];
    const float wished = mask != nullptr && mask[block.columns[p]] == 0 ? 0.0f : w;
    const uint8_t code = block.grid->nearest_code((wished - offset) * grid::inverse_scale(scale));
    const float q = scale * levels[code] + offset;
    const float error = -((q - w) / factor[p]);
    for (int64_t j = p + 1; j < block.width; ++j)
      row.weights[j] = std::fma(-error, factor[j], row.weights[j]);
    block.codes[r * block.codes_stride + block.columns[p]] = code;
    block.errors[r * block.errors_stride + p] = error;
    loss += static_cast<double>(error) * error;
  }
  if (block.row_loss != nullptr) block.row_loss[r] += loss;
}

}  // namespace

void sweep_reference(const SweepBlock& block) {
  const SweepPlan plan = plan_sweep(block);
#pragma omp parallel
  {
    Row row;
    row.scale.resize(plan.groups());
    row.offset.resize(plan.groups());
#pragma omp for schedule(static)
    for (int64_t r = 0; r < block.rows; ++r) sweep_row(block, plan, r, row);
  }
}

}  // namespace frugal::kernels
