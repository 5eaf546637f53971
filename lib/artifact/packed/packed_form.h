// A grid of the house in the terms of packed formats, and its matrices as those have them: the
// other direction of choose_grid.
#pragma once

#include <cstdint>
#include <string>

#include "artifact/packed/packed_matrix.h"
#include "base/status.h"
#include "grid/grid.h"

namespace frugal::artifact {

// w = scale * (level(code) - zero), a scale and a zero point for each group of a row. Scales of FP4
// are of one byte: powers of two in groups of 32, FP8 times a tensor scale in groups of 16.
struct PackedForm {
  PackedLevels levels = PackedLevels::kInteger;
  int bits = 4;
  int64_t group = 0;         // columns; 0: the whole row
  bool zero_points = false;  // without: 2^(bits - 1) of integers, 0 of floats
  float tensor_scale = 1;    // what scales hold, too

  int64_t group_of(int64_t columns) const { return group == 0 ? columns : group; }
  int64_t groups_of(int64_t columns) const { return columns / group_of(columns); }
  std::string text() const;  // "4 bits, groups of 32, with zero points"
  auto operator<=>(const PackedForm&) const = default;
};

// Errors: a grid whose numbers no packed format has, with the reason and what to take instead.
absl::StatusOr<PackedForm> packed_form(const grid::GridSpec& spec);

// Appends the rows of `matrix`, on the grid of `form`, to `packed`, whose codes are then its own.
// Rows of several matrices make one fused module.
class PackedRows {
 public:
  PackedRows(const PackedForm& form, int64_t columns);
  void append(const grid::QuantizedMatrix& matrix);
  PackedMatrix finish() &&;

 private:
  PackedForm form_;
  PackedMatrix matrix_;
  std::vector<uint8_t> codes_;
};

}  // namespace frugal::artifact
