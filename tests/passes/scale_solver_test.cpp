#include "passes/smooth/scale_solver.h"

#include <gmock/gmock.h>

#include "architecture/stages.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_model.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;
using layerwise::StageProblem;

class ScaleSolverTest : public testing::Test {
 protected:
  ScaleSolverOptions options(bool smoothquant) const {
    return {.groups = scale_groups(config_).value(),
            .config = config_,
            .smoothquant = smoothquant,
            .grid = "q4_0"};
  }
  // A stage of layer 0 with random weights and the statistics of random inputs.
  StageProblem problem(size_t stage) const {
    const architecture::Stage& from = stages_[stage];
    StageProblem result;
    result.at = {0, stage};
    result.where = base::str_cat("layer 0, ", from.name);
    int64_t rows = 0;
    for (const architecture::Tensor& matrix : from.matrices) {
      result.names.push_back(matrix.name);
      result.row_counts.push_back(matrix.shape[0]);
      rows += matrix.shape[0];
    }
    const int64_t columns = from.matrices[0].shape[1];
    result.weights = random_matrix(1, from.name, rows, columns);
    const at::Tensor x = random_inputs(2, 100, columns).to(at::kDouble);
    result.statistics.tokens = 100;
    result.statistics.hessian = at::mm(x.t(), x) / 100;
    result.statistics.mean_square = x.square().mean(0);
    result.statistics.mean_absolute = x.abs().mean(0);
    result.statistics.maximum_absolute = std::get<0>(x.abs().max(0));
    return result;
  }
  layerwise::MatrixRecord record() const {
    const auto found = layerwise::stored_records(store_, {0}).value();
    EXPECT_EQ(found.size(), 1u);
    return found.at(0);
  }
  const architecture::ModelConfig config_ = toy_config({.layers = 2});
  const std::vector<architecture::Stage> stages_ = architecture::stages(config_, 0);
  TemporaryFolder folder_;
  layerwise::LayerStore store_{folder_.path(), "stamp"};
};

TEST_F(ScaleSolverTest, AsksForWhatItLooksAt) {
  const ScaleSolver awq(options(false), store_), smoothquant(options(true), store_);
  EXPECT_EQ(awq.needs({1, 3}), layerwise::Needs::kHessian);
  EXPECT_EQ(smoothquant.needs({1, 3}), layerwise::Needs::kMoments);
  EXPECT_EQ(awq.needs({2, 0}), layerwise::Needs::kNothing);  // the head
  EXPECT_EQ(awq.drift_form(), layerwise::DriftForm::kNone);
}

TEST_F(ScaleSolverTest, SmoothQuantsScaleIsStored) {
  const StageProblem stage = problem(3);
  ScaleSolver solver(options(true), store_);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor changed, solver.solve(stage));
  EXPECT_FALSE(changed.defined());  // the walk goes on with the original
  FRUGAL_ASSERT_OK(solver.store_layer(0));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store_.require(0));
  const ScaleGroup group = options(true).groups[3];
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor stored, ScaleSolver::stored_scale(layer, group));
  const at::Tensor& largest = stage.statistics.maximum_absolute;
  const at::Tensor expected =
      layerwise::smoothquant_scale(stage.weights, largest, 0.5, group.sharing);
  EXPECT_TRUE(at::equal(stored, expected.to(at::kFloat)));
  const layerwise::MatrixRecord found = record();
  EXPECT_EQ(found.group, "mlp_out");
  EXPECT_EQ(found.merged_into, "mlp.up_proj");
  EXPECT_EQ(found.tokens, 100);
  EXPECT_DOUBLE_EQ(*found.outlier_ratio_before, (largest.max() / largest.mean()).item<double>());
  EXPECT_LT(*found.outlier_ratio, *found.outlier_ratio_before);
  EXPECT_FALSE(found.squared_error.has_value());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor restored, solver.restore(stage));
  EXPECT_FALSE(restored.defined());
}

TEST_F(ScaleSolverTest, AwqTakesTheScaleOfTheLeastLoss) {
  const StageProblem stage = problem(2);
  ScaleSolver solver(options(false), store_);
  FRUGAL_ASSERT_OK(solver.solve(stage));
  FRUGAL_ASSERT_OK(solver.store_layer(0));
  const ScaleGroup group = options(false).groups[2];
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const layerwise::ScaleChoice expected,
      layerwise::choose_scale(stage.weights, stage.statistics,
                              grid::find_grid("q4_0", group.columns).value(), false,
                              group.sharing));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store_.require(0));
  EXPECT_TRUE(
      at::equal(ScaleSolver::stored_scale(layer, group).value(), expected.scale.to(at::kFloat)));
  const layerwise::MatrixRecord found = record();
  EXPECT_EQ(found.ratio, expected.how.ratio);
  EXPECT_EQ(found.form, "plain");
  EXPECT_EQ(found.squared_error, expected.loss);
  EXPECT_EQ(found.squared_error_before, expected.loss_plain);
  EXPECT_LE(*found.error_after, *found.error_before);
  EXPECT_FALSE(found.clip_error.has_value());
  EXPECT_FALSE(ScaleSolver::stored_bounds(layer, stage.names[0])->defined());
}

// AWQ never clips query and key.
TEST_F(ScaleSolverTest, ClippingBoundsAllButQueryAndKey) {
  const StageProblem stage = problem(0);
  ScaleSolverOptions clipping = options(false);
  clipping.clip = true;
  ScaleSolver solver(std::move(clipping), store_);
  FRUGAL_ASSERT_OK(solver.solve(stage));
  FRUGAL_ASSERT_OK(solver.store_layer(0));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store_.require(0));
  EXPECT_FALSE(ScaleSolver::stored_bounds(layer, stage.names[0])->defined());
  EXPECT_FALSE(ScaleSolver::stored_bounds(layer, stage.names[1])->defined());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor bounds,
                              ScaleSolver::stored_bounds(layer, stage.names[2]));
  ASSERT_TRUE(bounds.defined());
  EXPECT_EQ(bounds.sizes(), at::IntArrayRef({16, 1}));  // rows of 32 columns: one group
  EXPECT_GT(bounds.min().item<float>(), 0);
  EXPECT_LE(*record().clip_error, *record().clip_error_before);
}

TEST_F(ScaleSolverTest, GatesAndGridsAreErrors) {
  ScaleSolverOptions hungry = options(true);
  hungry.gate.min_tokens = 101;
  FRUGAL_EXPECT_ERROR(ScaleSolver(std::move(hungry), store_).solve(problem(0)),
                      absl::StatusCode::kFailedPrecondition, "saw 100 calibration tokens");
  ScaleSolverOptions strict = options(false);
  strict.gate.max_error = 1e-9;
  FRUGAL_EXPECT_ERROR(ScaleSolver(std::move(strict), store_).solve(problem(0)),
                      absl::StatusCode::kFailedPrecondition,
                      "of rounding to grid q4_0 with scales");
  ScaleSolverOptions unknown = options(false);
  unknown.grid = "q4_x";
  FRUGAL_EXPECT_ERROR(ScaleSolver(std::move(unknown), store_).solve(problem(0)),
                      absl::StatusCode::kInvalidArgument, "q4_x");
}

}  // namespace
}  // namespace frugal::passes
