// Tested by: tests/artifact/packed_importer_test.cpp
#include "artifact/packed/columns_layout.h"

#include <cstring>

#include "base/text.h"

namespace frugal::artifact {

absl::StatusOr<bool> has_columns_layout(const StoredTensors& tensors, const std::string& module) {
  const std::string packed = module + ".qweight", plain = module + ".weight";
  if (tensors.has(packed) && tensors.has(plain)) {
    return base::invalid_argument(tensors.where(), ": both '", packed, "' and '", plain,
                                  "' are stored; remove the one that is out of date");
  }
  if (tensors.has(packed)) return true;
  for (const char* other : {".qzeros", ".scales", ".g_idx"}) {
    if (!tensors.has(module + other)) continue;
    return base::invalid_argument(tensors.where(), ": the tensor '", packed, "' is missing, but '",
                                  module, other, "' is there");
  }
  return false;
}

std::vector<float> by_row(const std::vector<float>& values, int64_t groups, int64_t rows) {
  std::vector<float> result(values.size());
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t row = 0; row < rows; ++row)
      result[static_cast<size_t>(row * groups + group)] =
          values[static_cast<size_t>(group * rows + row)];
  }
  return result;
}

absl::StatusOr<std::vector<int32_t>> read_group_indices(const StoredTensors& tensors,
                                                        const StoredView& view,
                                                        const PackedMatrix& matrix) {
  std::vector<int32_t> indices(static_cast<size_t>(matrix.columns));
  std::memcpy(indices.data(), view.bytes.data(), view.bytes.size());
  bool in_order = true;
  for (int64_t column = 0; column < matrix.columns; ++column) {
    const int32_t group = indices[static_cast<size_t>(column)];
    if (group < 0 || group >= matrix.groups()) {
      return base::invalid_argument(tensors.where(), ": '", view.info->name, "' gives column ",
                                    column, " to group ", group, ", but there are ",
                                    matrix.groups(), " groups of ", matrix.group);
    }
    in_order = in_order && group == column / matrix.group;
  }
  if (in_order) indices.clear();
  return indices;
}

}  // namespace frugal::artifact
