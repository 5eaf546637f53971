#include "passes/prune/matrix_patterns.h"

#include <gmock/gmock.h>

#include <map>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::passes {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class MatrixPatterns : public testing::Test {
 protected:
  absl::StatusOr<std::vector<MatrixPattern>> found() const {
    return matrix_patterns(options_, config_);
  }
  // The pattern of a matrix as text.
  std::string of(const std::string& name) const {
    const auto all = found();
    if (!all.ok()) return all.status().ToString();
    for (const MatrixPattern& matrix : *all) {
      if (matrix.name == name) return layerwise::to_text(matrix.pattern);
    }
    return "absent";
  }
  architecture::ModelConfig config_ = test::toy_config({.layers = 2});
  PruneOptions options_;
};

TEST_F(MatrixPatterns, EveryMatrixHasThePatternAndItsPlace) {
  options_.pattern = "2:4";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto all, found());
  ASSERT_EQ(all.size(), 2u * 7);
  for (const MatrixPattern& matrix : all) EXPECT_EQ(layerwise::to_text(matrix.pattern), "2:4");
  EXPECT_EQ(all[0].name, "model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(all[0].at, (architecture::StageRef{0, 0}));
  EXPECT_EQ(all[13].name, "model.layers.1.mlp.down_proj.weight");
  EXPECT_EQ(all[13].at, (architecture::StageRef{1, 3}));
  EXPECT_EQ(all[13].shape, (std::vector<int64_t>{32, 64}));
}

TEST_F(MatrixPatterns, TheLastGlobThatMatchesCounts) {
  options_.pattern = "50%";
  options_.overrides.entries = {
      {"*.layers.1.*", "25%"}, {" *down_proj* ", "2:4"}, {"*.layers.1.mlp.down_proj*", "none"}};
  EXPECT_EQ(of("model.layers.0.mlp.up_proj.weight"), "50%");
  EXPECT_EQ(of("model.layers.1.mlp.up_proj.weight"), "25%");
  EXPECT_EQ(of("model.layers.0.mlp.down_proj.weight"), "2:4");
  EXPECT_EQ(of("model.layers.1.mlp.down_proj.weight"), "none");
}

TEST_F(MatrixPatterns, PatternsThatCannotBeReadAreNamed) {
  options_.pattern = "half";
  FRUGAL_EXPECT_ERROR(found(), kInvalid, "half");
  options_.pattern = "50%";
  options_.overrides.entries = {{"*down*", "3of4"}};
  FRUGAL_EXPECT_ERROR(found(), kInvalid, "prune: overrides: *down*: ");
}

TEST_F(MatrixPatterns, PatternsMustFitTheirMatrices) {
  options_.pattern = "2:24";  // of 32 columns
  FRUGAL_EXPECT_ERROR(found(), kInvalid, "model.layers.0.self_attn.q_proj.weight");
  options_.pattern = "50%";
  options_.overrides.entries = {{"*down*", "2:24"}};
  FRUGAL_EXPECT_ERROR(found(), kInvalid, "model.layers.0.mlp.down_proj.weight");
}

TEST_F(MatrixPatterns, GlobsThatMatchNothingAreAllNamed) {
  options_.overrides.entries = {
      {"model.layers.0.mlp.dwn_proj.weight", "50%"}, {"*up*", "50%"}, {"lm_head*", "50%"}};
  FRUGAL_EXPECT_ERROR(
      found(), kInvalid,
      "no decoder matrix matches 'model.layers.0.mlp.dwn_proj.weight' (did you mean "
      "'model.layers.0.mlp.down_proj.weight'?); 'lm_head*'; names look like "
      "'model.layers.0.self_attn.q_proj.weight' and "
      "'model.layers.1.mlp.down_proj.weight'");
}

}  // namespace
}  // namespace frugal::passes
