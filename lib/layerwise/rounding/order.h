// In which order the columns of a stage are rounded.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace frugal::layerwise {

enum class ColumnOrder {
  kNatural,
  kGroupAware,  // whole blocks by their largest diag H, columns inside a block by diag H, both
                // descending: stored layouts stay as they are (GPTQModel's GAR)
  kDescending,  // all columns by diag H, descending (GPTQ's act-order). Blocks are taken apart, so
                // that scales must be there before the sweep (GptqOptions::dynamic_scales false);
                // then layouts stay as they are, too.
};

// Column of each processing position, int64 [in]. `diagonal` [in] fp64 is diag H; ties keep the
// natural order. `block_columns` divides in.
at::Tensor column_order(const at::Tensor& diagonal, int64_t block_columns, ColumnOrder order);

}  // namespace frugal::layerwise
