#include "layerwise/rounding/order.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "tensor/aten.h"

namespace frugal::layerwise {

at::Tensor column_order(const at::Tensor& diagonal, int64_t block_columns, ColumnOrder order) {
  const int64_t columns = diagonal.size(0);
  TORCH_CHECK(block_columns > 0 && columns % block_columns == 0, columns,
              " columns are no multiple of the block of ", block_columns);
  if (order == ColumnOrder::kNatural) return at::arange(columns, at::kLong);
  const at::Tensor values = diagonal.to(at::kDouble).contiguous();
  const double* d = values.const_data_ptr<double>();
  if (order == ColumnOrder::kDescending) block_columns = columns;
  std::vector<int64_t> blocks(static_cast<size_t>(columns / block_columns));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::vector<double> largest(blocks.size());
  for (size_t b = 0; b < blocks.size(); ++b) {
    const double* begin = d + static_cast<int64_t>(b) * block_columns;
    largest[b] = *std::max_element(begin, begin + block_columns);
  }
  std::stable_sort(blocks.begin(), blocks.end(), [&](int64_t a, int64_t b) {
    return largest[static_cast<size_t>(a)] > largest[static_cast<size_t>(b)];
  });
  at::Tensor result = at::empty({columns}, at::kLong);
  int64_t* out = result.data_ptr<int64_t>();
  for (const int64_t block : blocks) {
    std::iota(out, out + block_columns, block * block_columns);
    std::stable_sort(out, out + block_columns, [&](int64_t a, int64_t b) { return d[a] > d[b]; });
    out += block_columns;
  }
  return result;
}

}  // namespace frugal::layerwise
