// Tested by: tests/kernels/mask_sweep_test.cpp
#include <cmath>

#include "kernels/mask_sweep_kernels.h"

namespace frugal::kernels {
namespace {

// The mask of the columns [p, p + group) of one row from its current weights.
void choose(const MaskSweep& sweep, const float* weights, int64_t p, uint8_t* mask) {
  const auto score = [&](int64_t i) {
    const float ratio = weights[i] / sweep.factor[i * sweep.factor_stride + i];
    return ratio * ratio;
  };
  for (int64_t i = p; i < p + sweep.group; ++i) {
    int64_t better = 0;
    for (int64_t j = p; j < p + sweep.group; ++j)
      better += j < i ? !(score(i) > score(j)) : score(j) > score(i);
    mask[i] = static_cast<uint8_t>(better < sweep.kept);
  }
}

void sweep_row(const MaskSweep& sweep, int64_t row) {
  float* const w = sweep.weights + row * sweep.weights_stride;
  uint8_t* const mask = sweep.mask + row * sweep.mask_stride;
  double loss = 0;
  for (int64_t p = 0; p < sweep.width; ++p) {
    if (sweep.group > 0 && p % sweep.group == 0) choose(sweep, w, p, mask);
    const float* const factor = sweep.factor + p * sweep.factor_stride;
    const float q = mask[p] != 0 ? w[p] : 0.0f;
    const float error = -((q - w[p]) / factor[p]);
    w[p] = q;
    for (int64_t j = p + 1; j < sweep.width; ++j) w[j] = std::fma(-error, factor[j], w[j]);
    sweep.errors[row * sweep.errors_stride + p] = error;
    loss += static_cast<double>(error) * error;
  }
  if (sweep.row_loss != nullptr) sweep.row_loss[row] += loss;
}

}  // namespace

void mask_sweep_reference(const MaskSweep& sweep) {
  check_mask_sweep(sweep);
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < sweep.rows; ++row) sweep_row(sweep, row);
}

}  // namespace frugal::kernels
