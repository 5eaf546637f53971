#include "artifact/compare.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/interrupt.h"
#include "format/dtype.h"
#include "grid/grid.h"

namespace frugal::artifact {
namespace {

using format::Checkpoint;

struct Form {
  std::string type;
  std::vector<int64_t> shape;
  int64_t bytes = 0;
};

absl::StatusOr<Form> form_of(const Checkpoint& checkpoint, const std::string& name) {
  const auto entry = checkpoint.quantized().find(name);
  if (entry == checkpoint.quantized().end()) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(name));
    const int64_t elements =
        std::accumulate(info.shape.begin(), info.shape.end(), int64_t{1}, std::multiplies<>());
    return Form{std::string(format::name(info.dtype)), info.shape,
                elements * format::size_bytes(info.dtype)};
  }
  const auto& [grid_name, rows, columns] =
      std::tie(entry->second.grid, entry->second.rows, entry->second.columns);
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(grid_name, columns));
  const grid::GridSpec& spec = grid->spec();
  return Form{grid_name, {rows, columns}, rows * (columns / spec.block_columns) * spec.block_bytes};
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double by = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += by * by;
    size += static_cast<double>(a[i]) * static_cast<double>(a[i]);
  }
  if (difference == 0) return 0;
  return size == 0 ? std::numeric_limits<double>::infinity() : std::sqrt(difference / size);
}

absl::StatusOr<TensorDifference> compare_tensor(const Checkpoint& a, const Checkpoint& b,
                                                const std::string& name) {
  FRUGAL_ASSIGN_OR_RETURN(const Form form_a, form_of(a, name));
  FRUGAL_ASSIGN_OR_RETURN(const Form form_b, form_of(b, name));
  TensorDifference result{.name = name,
                          .type_a = form_a.type,
                          .type_b = form_b.type,
                          .shape_a = form_a.shape,
                          .shape_b = form_b.shape,
                          .bytes_a = form_a.bytes,
                          .bytes_b = form_b.bytes};
  if (result.shape_a != result.shape_b) {
    result.relative = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values_a, a.values(name));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values_b, b.values(name));
  result.relative = relative_difference(values_a, values_b);
  return result;
}

}  // namespace

int64_t Comparison::equal() const {
  return std::count_if(tensors.begin(), tensors.end(),
                       [](const TensorDifference& tensor) { return tensor.relative == 0; });
}

absl::StatusOr<Comparison> compare(const Checkpoint& a, const Checkpoint& b,
                                   const std::function<void()>& advanced) {
  const std::vector<std::string> in_a = a.tensor_names(), in_b = b.tensor_names();
  Comparison result;
  std::set_difference(in_a.begin(), in_a.end(), in_b.begin(), in_b.end(),
                      std::back_inserter(result.only_a));
  std::set_difference(in_b.begin(), in_b.end(), in_a.begin(), in_a.end(),
                      std::back_inserter(result.only_b));
  for (const std::string& name : in_a) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    if (b.has(name)) {
      FRUGAL_ASSIGN_OR_RETURN(TensorDifference tensor, compare_tensor(a, b, name));
      result.tensors.push_back(std::move(tensor));
    }
    if (advanced) advanced();
  }
  return result;
}

}  // namespace frugal::artifact
