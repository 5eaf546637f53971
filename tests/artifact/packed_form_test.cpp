#include "artifact/packed/packed_form.h"

#include <gtest/gtest.h>

#include "support/quantized_matrix.h"
#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

constexpr int64_t kRows = 6, kColumns = 256;

absl::StatusOr<PackedForm> form_of(const std::string& grid) {
  return packed_form(grid::find_grid(grid, kColumns).value()->spec());
}

TEST(PackedForm, SaysBitsGroupsAndZeroPoints) {
  const auto text = [](const std::string& grid) { return form_of(grid)->text(); };
  EXPECT_EQ(text("int4:g32"), "4 bits, groups of 32");
  EXPECT_EQ(text("int4:g128:asym"), "4 bits, groups of 128, with zero points");
  EXPECT_EQ(text("int8:row"), "8 bits, whole rows");
  EXPECT_EQ(text("q4_0"), "4 bits, groups of 32");
  EXPECT_EQ(text("q8_0"), "8 bits, groups of 32");
  EXPECT_EQ(text("q5_0"), "5 bits, groups of 32");
  EXPECT_EQ(text("fp8:row"), "FP8, whole rows");
  EXPECT_EQ(text("nvfp4"), "FP4, groups of 16");
  EXPECT_EQ(text("mxfp4"), "FP4, groups of 32");
}

TEST(PackedForm, RefusesWhatNoPackedFormatHolds) {
  for (const auto& [grid, why] :
       std::vector<std::pair<std::string, std::string>>{{"q4_k", "products of two"},
                                                        {"q6_k", "products of two"},
                                                        {"q4_1", "no multiple of the scale"},
                                                        {"q5_1", "no multiple of the scale"},
                                                        {"iq4_nl", "no consecutive integers"},
                                                        {"nf4", "no consecutive integers"},
                                                        {"q2_0", "around another number"},
                                                        {"tq2_0", "no whole number of bits"}}) {
    const auto form = form_of(grid);
    FRUGAL_EXPECT_ERROR(form.status(), absl::StatusCode::kInvalidArgument, why);
    FRUGAL_EXPECT_ERROR(form.status(), absl::StatusCode::kInvalidArgument, grid);
    FRUGAL_EXPECT_ERROR(form.status(), absl::StatusCode::kInvalidArgument, "quantize to int4");
  }
}

// There and back, two matrices below each other, is the same codes and parameters.
TEST(PackedForm, IsTheOtherDirectionOfChooseGrid) {
  for (const char* grid : {"int2:g32", "int2:g64:asym", "int3:g32", "int4:g32", "int4:g128:asym",
                           "int4:row", "int8:g32", "int8:row:asym", "fp8:row", "fp8:g64", "mxfp4",
                           "nvfp4", "nvfp4:e0", "nvfp4:e-9"}) {
    SCOPED_TRACE(grid);
    const grid::QuantizedMatrix one = test::random_matrix(grid, kRows, kColumns);
    const grid::QuantizedMatrix other = test::random_matrix(grid, 2 * kRows, kColumns);
    PackedRows rows(form_of(grid).value(), kColumns);
    rows.append(one);
    rows.append(other);
    const PackedMatrix packed = std::move(rows).finish();
    ASSERT_EQ(packed.rows, 3 * kRows);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const GridChoice choice, choose_grid(packed));
    ASSERT_EQ(choice.grid, one.grid->spec().name);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto found, codes_on_grid(packed, grid, 0, kRows));
    EXPECT_EQ(found.codes, one.codes);
    EXPECT_EQ(found.parameters, one.parameters);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto rest, codes_on_grid(packed, grid, kRows, 2 * kRows));
    EXPECT_EQ(rest.codes, other.codes);
    EXPECT_EQ(rest.parameters, other.parameters);
  }
}

}  // namespace
}  // namespace frugal::artifact
