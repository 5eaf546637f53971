// What GPTQ's and AWQ's layouts share: matrices lie transposed, a row of scales and zero points for
// each group of columns. Internal.
#pragma once

#include <string>
#include <vector>

#include "artifact/packed/packed_matrix.h"
#include "artifact/packed/stored_tensors.h"
#include "base/status.h"

namespace frugal::artifact {

// Whether the module has packed weights. Errors: only some of them, or plain ones beside.
absl::StatusOr<bool> has_columns_layout(const StoredTensors& tensors, const std::string& module);

// [groups, rows] as [rows, groups].
std::vector<float> by_row(const std::vector<float>& values, int64_t groups, int64_t rows);

// The group of each column from an I32 [columns] tensor; empty where the groups are neighboring
// columns in order. Errors: an index without a group.
absl::StatusOr<std::vector<int32_t>> read_group_indices(const StoredTensors& tensors,
                                                        const StoredView& view,
                                                        const PackedMatrix& matrix);

}  // namespace frugal::artifact
