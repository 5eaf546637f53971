#include "format/activations.h"

#include "support/shared_data.h"

namespace frugal::format {
namespace {

TEST(Activations, NamesAreReadBack) {
  for (const Activations known : {Activations::kFloat, Activations::kInt8}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Activations found, find_activations(name(known)));
    EXPECT_EQ(found, known);
  }
  FRUGAL_EXPECT_ERROR(find_activations("fp8"), absl::StatusCode::kInvalidArgument, "'fp8'");
}

TEST(Activations, NeedIntegerRowsOfALayer) {
  const auto check = [](const char* grid, const char* tensor, Activations activations) {
    return check_activations(activations, grid::find_grid(grid, 64).value()->spec(), tensor,
                             std::string_view(tensor).starts_with("model.layers."));
  };
  const char* matrix = "model.layers.0.mlp.up_proj.weight";
  FRUGAL_EXPECT_OK(check("int8:row", matrix, Activations::kInt8));
  FRUGAL_EXPECT_OK(check("q4_0", matrix, Activations::kFloat));
  for (const char* grid : {"q8_0", "int8", "int4:row", "int8:row:asym"}) {
    FRUGAL_EXPECT_ERROR(check(grid, matrix, Activations::kInt8), absl::StatusCode::kInvalidArgument,
                        "need weights on grid int8:row");
  }
  for (const char* tensor : {"lm_head.weight", "model.embed_tokens.weight"}) {
    FRUGAL_EXPECT_ERROR(check("int8:row", tensor, Activations::kInt8),
                        absl::StatusCode::kInvalidArgument, "matrices of decoder layers");
  }
}

}  // namespace
}  // namespace frugal::format
