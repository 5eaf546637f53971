#include "artifact/packed/packed_form.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "base/text.h"
#include "grid/float4.h"
#include "grid/float8.h"

namespace frugal::artifact {
namespace {

using base::str_cat;

absl::Status no_form(const grid::GridSpec& spec, std::string_view why) {
  return base::invalid_argument(
      "grid ", spec.name, " has ", why, ", and packed formats hold scale * (code - zero point) ",
      "with a scale for each group; quantize to int4 or int8 in groups (int4:g128) or rows "
      "(int8:row), with :asym for zero points, to q4_0, fp8, nvfp4 or mxfp4");
}

// E4M3 bytes of the codes of float8.h.
uint8_t float8_byte(uint8_t code) {
  const int m = static_cast<int>(code) - grid::kFloat8Zero;
  return static_cast<uint8_t>(m < 0 ? 0x80 | -m : m);
}

}  // namespace

std::string PackedForm::text() const {
  const bool is_float = levels != PackedLevels::kInteger;
  return str_cat(is_float ? str_cat("FP", bits) : str_cat(bits, " bits"), ", ",
                 group == 0 ? "whole rows" : str_cat("groups of ", group),
                 zero_points ? ", with zero points" : "");
}

absl::StatusOr<PackedForm> packed_form(const grid::GridSpec& spec) {
  PackedForm form{.group = spec.group_columns, .zero_points = spec.affine};
  if (base::glob_match("*:row*", spec.name)) form.group = 0;
  if (base::glob_match("nvfp4*", spec.name) || spec.name == "mxfp4") {
    form.levels = PackedLevels::kFloat4;
    form.tensor_scale = spec.tensor_scale;
    return form;
  }
  if (!spec.free_scale) return no_form(spec, "scales that are products of two");
  if (spec.float8) {
    form.levels = PackedLevels::kFloat8;
    form.bits = 8;
    return form;
  }
  const auto count = static_cast<uint32_t>(spec.levels.size());
  if (!spec.uniform) return no_form(spec, "levels that are no consecutive integers");
  if (!std::has_single_bit(count) || count < 4)
    return no_form(spec, "levels that fill no whole number of bits");
  form.bits = std::countr_zero(count);
  const float first = spec.affine ? 0.0f : -static_cast<float>(count / 2);
  if (spec.levels.front() != first) return no_form(spec, "levels around another number than zero");
  if (spec.affine && !spec.holds_zero)
    return no_form(spec, "offsets that are no multiple of the scale");
  return form;
}

PackedRows::PackedRows(const PackedForm& form, int64_t columns) : form_(form) {
  matrix_.columns = columns;
  matrix_.levels = form.levels;
  matrix_.bits = form.bits;
  matrix_.group = form.group_of(columns);
  matrix_.tensor_scale = form.tensor_scale;
}

void PackedRows::append(const grid::QuantizedMatrix& matrix) {
  matrix_.rows += matrix.rows;
  const auto before = static_cast<std::ptrdiff_t>(codes_.size());
  codes_.insert(codes_.end(), matrix.codes.begin(), matrix.codes.end());
  if (form_.levels != PackedLevels::kInteger) {
    std::transform(codes_.begin() + before, codes_.end(), codes_.begin() + before,
                   form_.levels == PackedLevels::kFloat8 ? float8_byte : grid::float4_bits);
  }
  const float doubled = form_.levels == PackedLevels::kFloat4 ? 2 : 1;  // the grid's levels are
  const auto groups = static_cast<size_t>(matrix.grid->spec().groups_per_block());
  std::vector<float> scale(groups), offset(groups);
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t block = 0; block < matrix.blocks_per_row(); ++block) {
      matrix.grid->expand(matrix.block_parameters(row, block), scale.data(), offset.data());
      for (size_t g = 0; g < groups; ++g) {
        matrix_.scales.push_back(doubled * scale[g]);
        // The product that the offset is has no more digits than fp32 holds: the quotient is exact.
        if (form_.zero_points)
          matrix_.zeros.push_back(
              scale[g] == 0 ? uint8_t{0}
                            : static_cast<uint8_t>(std::nearbyintf(-offset[g] / scale[g])));
      }
    }
  }
}

PackedMatrix PackedRows::finish() && {
  const auto codes = std::make_shared<const std::vector<uint8_t>>(std::move(codes_));
  matrix_.read_codes = [codes, columns = matrix_.columns](int64_t first, int64_t count,
                                                          uint8_t* to) {
    std::copy_n(codes->begin() + first * columns, count * columns, to);
  };
  return std::move(matrix_);
}

}  // namespace frugal::artifact
