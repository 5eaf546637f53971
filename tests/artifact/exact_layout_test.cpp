#include "artifact/exact_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/quantized_matrix.h"
#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;

TEST(GgufGridFor, KeepsWhatGgufHasAndFindsTheSameIntegersElsewhere) {
  EXPECT_EQ(gguf_grid_for("q4_k", 256).value(), "q4_k");
  EXPECT_EQ(gguf_grid_for("int4", 256).value(), "q4_0");
  EXPECT_EQ(gguf_grid_for("int4:g64", 256).value(), "q4_0");
  EXPECT_EQ(gguf_grid_for("int4:g16", 256).value(), std::nullopt);   // finer than any block of 32
  EXPECT_EQ(gguf_grid_for("int4:asym", 256).value(), std::nullopt);  // offsets
  FRUGAL_EXPECT_ERROR(gguf_grid_for("q4_x", 256), absl::StatusCode::kInvalidArgument, "q4_x");
}

TEST(GgufGridFor, EveryGgufGridIsItsOwn) {
  const std::vector<std::string> names = gguf_grid_names();
  EXPECT_EQ(names.size(), 16u);
  for (const char* name : {"iq4_xs", "mxfp4", "nvfp4", "nvfp4:e0"}) EXPECT_TRUE(is_gguf_grid(name));
  for (const char* name : {"nf4", "int4", "int4:row", "nvfp4:x", "q9", ""})
    EXPECT_FALSE(is_gguf_grid(name)) << name;
  for (const std::string& name : names) EXPECT_EQ(gguf_grid_for(name, 256).value(), name);
  for (const char* name : {"int2", "int3", "int3:asym", "nf4", "fp8", "fp8:g32", "int2:g64"}) {
    EXPECT_EQ(gguf_grid_for(name, 256).value(), std::nullopt) << name;
  }
  EXPECT_THAT(
      no_gguf_layout("w", "nf4").message(),
      testing::HasSubstr("holds grid nf4 exactly; quantize to one of iq4_nl, iq4_xs, q4_k"));
}

TEST(MoveExactly, DecodesToTheSameBits) {
  for (const char* name : {"int4", "int4:g64", "int4:g128", "int8", "int8:g64"}) {
    const grid::QuantizedMatrix matrix = random_matrix(name, 5, 256);
    const auto target_name = gguf_grid_for(name, 256).value();
    ASSERT_TRUE(target_name.has_value()) << name;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix moved,
                                move_exactly(matrix, grid::find_grid(*target_name, 256).value()));
    EXPECT_EQ(decoded(moved), decoded(matrix)) << name;
  }
}

TEST(MoveExactly, RefusesGroupsThatDoNotNest) {
  FRUGAL_EXPECT_ERROR(
      move_exactly(random_matrix("q4_0", 2, 256), grid::find_grid("int4:g64", 256).value()),
      absl::StatusCode::kInvalidArgument, "do not nest");
}

TEST(MoveExactly, RefusesLevelsThatAreNotThere) {
  FRUGAL_EXPECT_ERROR(
      move_exactly(random_matrix("q8_0", 2, 256), grid::find_grid("q4_0", 256).value()),
      absl::StatusCode::kInvalidArgument, "no level");
}

}  // namespace
}  // namespace frugal::artifact
