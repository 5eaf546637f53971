#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include <cmath>

#include "architecture/tensors.h"
#include "layerwise/walk/durable_solver.h"
#include "passes/fake_context.h"
#include "passes/smooth/output.h"
#include "support/toy_checkpoint.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;
using architecture::Role;
using layerwise::MatrixRecord;
namespace fs = std::filesystem;

// Stores what a test says a solver has found.
class Recorder final : public layerwise::DurableSolver {
 public:
  using DurableSolver::DurableSolver;
  using DurableSolver::keep;
  layerwise::Needs needs(const architecture::StageRef&) const override {
    return layerwise::Needs::kNothing;
  }
  layerwise::DriftForm drift_form() const override { return layerwise::DriftForm::kNone; }
  absl::StatusOr<at::Tensor> solve(const layerwise::StageProblem&) override { return at::Tensor(); }
  absl::StatusOr<at::Tensor> restore(const layerwise::StageProblem&) override {
    return at::Tensor();
  }
};

class SmoothOutput : public testing::Test {
 protected:
  void SetUp() override {
    input_.emplace(toy_checkpoint(folder_.path() / "input", {.layers = 2}));
    groups_ = scale_groups(input_->config()).value();
    fs::create_directories(folder_.path() / "store");
    fs::create_directories(folder_.path() / "output");
    store_.emplace(folder_.path() / "store", "stamp");
  }
  // Powers of two, so that everything is exact; equal where heads share a value head.
  static at::Tensor scale_of(const ScaleGroup& group) {
    at::Tensor scale = at::empty({group.columns}, at::kFloat);
    for (int64_t i = 0; i < group.columns; ++i)
      scale[i] = std::ldexp(1.0, static_cast<int>(i * 7 % 5) - 2);
    return layerwise::pool_shared(scale.to(at::kDouble), group.sharing,
                                  layerwise::Pooling::kLargest)
        .to(at::kFloat);
  }
  void store_scales(int64_t layer, const at::Tensor& down_bounds = {}) {
    Recorder recorder(*store_);
    for (const ScaleGroup& group : groups_) recorder.keep(group.stage + ".scale", scale_of(group));
    if (down_bounds.defined()) recorder.keep(name(Role::kDown, layer) + ".bounds", down_bounds);
    FRUGAL_ASSERT_OK(recorder.store_layer(layer));
  }
  absl::StatusOr<format::Checkpoint> written(bool keep_type) {
    FRUGAL_RETURN_IF_ERROR(
        write_smoothed(*input_, groups_, keep_type, *store_, folder_.path() / "output"));
    return format::Checkpoint::open(folder_.path() / "output");
  }
  std::string name(Role role, int64_t layer) const {
    return architecture::tensor_name(input_->config(), role, layer);
  }
  static at::Tensor value(const format::Checkpoint& checkpoint, const std::string& name) {
    return at::tensor(checkpoint.values(name).value())
        .view(at::IntArrayRef(checkpoint.info(name)->shape));
  }
  TemporaryFolder folder_;
  std::optional<format::Checkpoint> input_;
  std::vector<ScaleGroup> groups_;
  std::optional<layerwise::LayerStore> store_;
};

TEST_F(SmoothOutput, ColumnsAreMultipliedAndWhatMakesThemDivided) {
  store_scales(0);
  store_scales(1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, written(false));
  const auto expect = [&](Role role, const at::Tensor& expected) {
    EXPECT_TRUE(at::equal(value(result, name(role, 1)), expected)) << name(role, 1);
  };
  const auto before = [&](Role role) { return value(*input_, name(role, 1)); };
  const at::Tensor in = scale_of(groups_[0]), out = scale_of(groups_[1]),
                   mlp = scale_of(groups_[2]), down = scale_of(groups_[3]);
  expect(Role::kNormBeforeAttention, before(Role::kNormBeforeAttention) / in);
  expect(Role::kQuery, before(Role::kQuery) * in);
  // A value head makes the inputs of two query heads: rows 0..7 those of heads 0 and 1.
  const at::Tensor rows = out.view({2, 2, 8}).select(1, 0).reshape({16, 1});
  expect(Role::kValue, before(Role::kValue) * in / rows);
  expect(Role::kAttentionOutput, before(Role::kAttentionOutput) * out);
  expect(Role::kNormBeforeFeedForward, before(Role::kNormBeforeFeedForward) / mlp);
  expect(Role::kGate, before(Role::kGate) * mlp);
  expect(Role::kUp, before(Role::kUp) * mlp / down.unsqueeze(1));
  expect(Role::kDown, before(Role::kDown) * down);
  for (const char* other : {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"})
    EXPECT_TRUE(at::equal(value(result, other), value(*input_, other))) << other;
  EXPECT_TRUE(fs::exists(result.folder() / "tokenizer.json"));
}

// Powers of two go through every product and sum as they are.
TEST_F(SmoothOutput, LogitsStayToTheBit) {
  store_scales(0);
  store_scales(1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, written(false));
  const at::NoGradGuard no_grad;
  const model::Batch batch = toy_batch(toy_windows(2, 24, kToyVocabulary));
  const auto logits = [&](const format::Checkpoint& checkpoint) {
    return model::Decoder::load(checkpoint, {}).value().logits(batch);
  };
  EXPECT_TRUE(at::equal(logits(result), logits(*input_)));
}

TEST_F(SmoothOutput, BoundsLimitTheScaledWeights) {
  store_scales(0);
  const at::Tensor bounds = at::full({32, 2}, 0.125F);  // 32 rows, two groups of 32 columns
  store_scales(1, bounds);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, written(false));
  const at::Tensor down = value(*input_, name(Role::kDown, 1)) * scale_of(groups_[3]);
  EXPECT_GT(down.abs().max().item<float>(), 0.125F);
  EXPECT_TRUE(at::equal(value(result, name(Role::kDown, 1)), down.clamp(-0.125F, 0.125F)));
  EXPECT_GT(value(result, name(Role::kDown, 0)).abs().max().item<float>(), 0.125F);
}

TEST_F(SmoothOutput, ChangedWeightsAreWideUnlessTheirTypeIsKept) {
  const fs::path half = folder_.path() / "half";
  fs::create_directories(half);
  FRUGAL_ASSERT_OK(model::Decoder::load(*input_, {})->save(half, format::DType::kBF16));
  input_.emplace(format::Checkpoint::open(half).value());
  store_scales(0);
  store_scales(1);
  for (const bool keep : {false, true}) {
    fs::create_directories(folder_.path() / "output");
    FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint result, written(keep));
    EXPECT_EQ(result.info(name(Role::kGate, 0))->dtype,
              keep ? format::DType::kBF16 : format::DType::kF32);
    EXPECT_EQ(result.info("lm_head.weight")->dtype, format::DType::kBF16);
    EXPECT_TRUE(at::equal(value(result, name(Role::kGate, 0)),
                          value(*input_, name(Role::kGate, 0)) * scale_of(groups_[2])));
    fs::remove_all(folder_.path() / "output");
  }
}

TEST_F(SmoothOutput, ALayerThatWasNeverStoredIsAnError) {
  store_scales(0);
  EXPECT_FALSE(written(false).ok());
  EXPECT_FALSE(fs::exists(folder_.path() / "output" / "config.json"));
}

TEST_F(SmoothOutput, ReportsWhatWasRecorded) {
  FakeRunContext context(folder_.path(), input_);
  for (int64_t layer = 0; layer < 2; ++layer) {
    Recorder recorder(*store_);
    MatrixRecord record;
    record.layer = layer;
    record.group = "mlp_in";
    record.outlier_ratio_before = 8;
    record.outlier_ratio = layer == 0 ? 2 : 4;
    record.squared_error_before = 4;
    record.squared_error = layer == 0 ? 1 : 4;  // one helped, one left alone
    recorder.keep(record);
    FRUGAL_ASSERT_OK(recorder.store_layer(layer));
  }
  FRUGAL_ASSERT_OK(report_smoothed(context, *store_));
  EXPECT_EQ(context.tables.at("smoothing").size(), 2u);
  EXPECT_EQ(context.value("predicted_error_ratio"), 5.0 / 8);
  EXPECT_DOUBLE_EQ(*context.value("mean_error_ratio"), 0.5);  // sqrt(1/4 * 1)
  EXPECT_EQ(context.value("scaled_groups"), 1);
  EXPECT_EQ(context.value("outlier_ratio_before"), 8);
  EXPECT_EQ(context.value("outlier_ratio"), 3);
  EXPECT_FALSE(context.value("clip_error_ratio").has_value());
  EXPECT_TRUE(context.warnings.empty());
}

TEST_F(SmoothOutput, ReportsClippingWithAWarning) {
  FakeRunContext context(folder_.path(), input_);
  for (int64_t layer = 0; layer < 2; ++layer) {
    Recorder recorder(*store_);
    MatrixRecord record;
    record.squared_error_before = record.squared_error = 1;
    record.clip_error_before = 2;
    record.clip_error = 1.5;
    recorder.keep(record);
    FRUGAL_ASSERT_OK(recorder.store_layer(layer));
  }
  FRUGAL_ASSERT_OK(report_smoothed(context, *store_));
  EXPECT_EQ(context.value("clip_error_ratio"), 0.75);
  ASSERT_EQ(context.warnings.size(), 1u);
  EXPECT_THAT(context.warnings[0], testing::HasSubstr("not equivalent to its input"));
}

// SmoothQuant rounds nothing: there is no error to speak of.
TEST_F(SmoothOutput, WithoutRoundingOnlyOutliersAreReported) {
  FakeRunContext context(folder_.path(), input_);
  EXPECT_FALSE(report_smoothed(context, *store_).ok());  // nothing is stored
  for (int64_t layer = 0; layer < 2; ++layer) {
    Recorder recorder(*store_);
    MatrixRecord record;
    record.outlier_ratio_before = record.outlier_ratio = 2;
    recorder.keep(record);
    FRUGAL_ASSERT_OK(recorder.store_layer(layer));
  }
  FRUGAL_ASSERT_OK(report_smoothed(context, *store_));
  EXPECT_EQ(context.statistics.size(), 2u);
  EXPECT_EQ(context.value("outlier_ratio"), 2);
}

}  // namespace
}  // namespace frugal::passes
