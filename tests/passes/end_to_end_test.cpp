#include "passes/quantize/end_to_end.h"

#include <gmock/gmock.h>

#include "passes/fake_context.h"
#include "passes/quantize/divergence.h"
#include "passes/quantize/plan.h"
#include "passes/quantize/run.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

constexpr auto kFailed = absl::StatusCode::kFailedPrecondition;

// A toy, its matrices rounded to nearest, and windows of three uses.
class EndToEnd : public testing::Test {
 protected:
  void SetUp() override {
    input_.emplace(toy_checkpoint(folder_.path() / "toy", {.layers = 1}));
    const auto plan =
        plan_grids(input_->config(), {.grid = "q4_0", .embeddings = "keep", .head = "keep"})
            .value();
    for (const PlannedTensor& tensor : plan) {
      if (tensor.grid.empty()) continue;
      matrices_.emplace(
          tensor.name, grid::round_to_nearest(grid::find_grid(tensor.grid, tensor.shape[1]).value(),
                                              input_->values(tensor.name)->data(), tensor.shape[0],
                                              tensor.shape[1], {}, true)
                           .value());
    }
    split_.seen = toy_windows(4, 16, kToyVocabulary, 1);
    split_.held_out = toy_windows(3, 16, kToyVocabulary, 2);
    split_.fresh = toy_windows(4, 16, kToyVocabulary, 3);
    settings_.grid = "q4_0";
    settings_.calibration.name = "text";
    settings_.windows.precision = "fp32";
    settings_.tune_windows = 4;
  }
  absl::Status tune(FakeRunContext& context, train::QuantizedMatrices& matrices) const {
    return tune_end_to_end(context, settings_, split_, at::kCPU, matrices);
  }
  FakeRunContext context(const char* name) { return {folder_.path() / name, input_}; }

  TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  train::QuantizedMatrices matrices_;
  layerwise::CalibrationSplit split_;
  QuantizeSettings settings_;
};

TEST_F(EndToEnd, NothingAskedForIsNothingDone) {
  FakeRunContext run = context("run");
  train::QuantizedMatrices matrices = matrices_;
  FRUGAL_EXPECT_OK(tune(run, matrices));
  settings_.max_kl = 1e-9;
  settings_.activations = "int8";  // looked at where the integers are written
  FRUGAL_EXPECT_OK(tune(run, matrices));
  settings_.activations = "none";
  FRUGAL_EXPECT_OK(check_integer_model(run, settings_, split_.held_out, at::kCPU));
  EXPECT_TRUE(run.statistics.empty());
  EXPECT_TRUE(run.tables.empty());
}

// Measured, not tuned: the divergence of the matrices as they came.
TEST_F(EndToEnd, TheGateMeasuresWhatItIsGiven) {
  settings_.max_kl = 10;
  FakeRunContext run = context("run");
  train::QuantizedMatrices matrices = matrices_;
  FRUGAL_ASSERT_OK(tune(run, matrices));
  for (const auto& [name, matrix] : matrices_)
    EXPECT_EQ(matrices.at(name).parameters, matrix.parameters) << name;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder original, model::Decoder::load(*input_, {}));
  model::Decoder changed = original;
  for (const auto& [name, matrix] : matrices_) {
    at::Tensor decoded = at::empty({matrix.rows, matrix.columns}, at::kFloat);
    grid::decode_matrix(matrix, decoded.data_ptr<float>());
    changed.set_parameter(name, decoded);
  }
  std::vector<at::Tensor> hidden;
  const double expected = mean_divergence(original, changed, split_.held_out, hidden);
  EXPECT_GT(expected, 0);
  EXPECT_EQ(run.value("kl_after"), run.value("kl_before"));
  EXPECT_NEAR(*run.value("kl_after"), expected, 1e-3 * expected);  // sums in other chunks
  settings_.max_kl = expected / 2;
  FakeRunContext strict = context("strict");
  FRUGAL_EXPECT_ERROR(tune(strict, matrices), kFailed,
                      "nats per token on held-out windows, max_kl is");
}

TEST_F(EndToEnd, TuningChangesScalesAndLowersTheDivergence) {
  settings_.tune_steps = 4;
  FakeRunContext run = context("run");
  train::QuantizedMatrices matrices = matrices_;
  FRUGAL_ASSERT_OK(tune(run, matrices));
  EXPECT_TRUE(run.warnings.empty());
  EXPECT_EQ(run.value("steps"), 4);
  EXPECT_EQ(run.tables.at("tuning").size(), 4u);
  EXPECT_LE(*run.value("kl_after"), *run.value("kl_before"));
  EXPECT_EQ(run.tables.at("validation").size(), 3u);  // at first, and two looks where steps are few
  for (const auto& [name, matrix] : matrices_)
    EXPECT_EQ(matrices.at(name).codes, matrix.codes) << name;
}

TEST_F(EndToEnd, TooLittleFreshTextGoesOnWithTheSeen) {
  settings_.tune_steps = 1;
  settings_.tune_windows = 6;
  FakeRunContext run = context("run");
  train::QuantizedMatrices matrices = matrices_;
  FRUGAL_ASSERT_OK(tune(run, matrices));
  ASSERT_EQ(run.warnings.size(), 1u);
  EXPECT_THAT(run.warnings[0],
              testing::HasSubstr("4 windows beyond those of the statistics, 6 were asked for"));
}

TEST_F(EndToEnd, AnIntegerModelIsMeasuredAsWritten) {
  QuantizeSettings rounded;
  rounded.grid = "int8:row";
  rounded.method = "rtn";
  rounded.activations = "int8";
  FakeRunContext run = context("run");
  FRUGAL_ASSERT_OK(run_quantization(run, rounded, 1));
  run.statistics.clear();
  rounded.calibration.name = "text";
  rounded.max_kl = 10;
  FRUGAL_ASSERT_OK(check_integer_model(run, rounded, split_.held_out, at::kCPU));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto output, format::Checkpoint::open(run.output_folder()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder original, model::Decoder::load(*input_, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const model::Decoder changed, model::Decoder::load(output, {}));
  std::vector<at::Tensor> hidden;
  const double expected = mean_divergence(original, changed, split_.held_out, hidden);
  EXPECT_EQ(run.value("kl"), expected);
  rounded.max_kl = expected / 2;
  FRUGAL_EXPECT_ERROR(check_integer_model(run, rounded, split_.held_out, at::kCPU), kFailed,
                      "the quantized model diverges from the original by");
  FakeRunContext bare = context("bare");  // nothing was written
  EXPECT_FALSE(check_integer_model(bare, rounded, split_.held_out, at::kCPU).ok());
}

}  // namespace
}  // namespace frugal::passes
