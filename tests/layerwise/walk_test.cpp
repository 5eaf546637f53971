#include "layerwise/walk/walk.h"

#include <map>

#include "base/interrupt.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_model.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

using StageKey = std::pair<int64_t, size_t>;

// Scales every matrix by `factor` and remembers what it saw and what it finished.
class ScalingSolver final : public StageSolver {
 public:
  explicit ScalingSolver(double factor, DriftForm drift = DriftForm::kNone)
      : factor_(factor), drift_(drift) {}

  Needs needs(const architecture::StageRef&) const override { return Needs::kHessian; }
  DriftForm drift_form() const override { return drift_; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    if (problem.at.layer == fail_at) return base::failed("stopped in ", problem.where);
    seen[{problem.at.layer, problem.at.stage}] = problem;
    if (factor_ == 1) return at::Tensor();
    at::Tensor changed = problem.weights * factor_;
    solved[{problem.at.layer, problem.at.stage}] = changed;
    return changed;
  }
  absl::Status store_layer(int64_t layer) override {
    finished.push_back(layer);
    return absl::OkStatus();
  }
  absl::StatusOr<bool> has_stored(int64_t layer) override { return layer < restored_layers; }
  absl::StatusOr<at::Tensor> restore(const StageProblem& problem) override {
    return solved.at({problem.at.layer, problem.at.stage});
  }

  int64_t fail_at = -1;
  int64_t restored_layers = 0;
  std::map<StageKey, StageProblem> seen;
  std::map<StageKey, at::Tensor> solved;
  std::vector<int64_t> finished;

 private:
  double factor_;
  DriftForm drift_;
};

// Leaves every weight as it is.
class UnchangingSolver final : public StageSolver {
 public:
  Needs needs(const architecture::StageRef&) const override { return Needs::kHessian; }
  DriftForm drift_form() const override { return DriftForm::kOutputs; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    for (const Drift* const drift : {&problem.drift, &problem.held_out_drift}) {
      EXPECT_EQ(drift->output.abs().max().item<double>(), 0) << problem.where;
      EXPECT_EQ(drift->residual.defined(), problem.writes_residual);
    }
    if (problem.at.layer < 3) ++stages;
    return at::Tensor();
  }
  absl::Status store_layer(int64_t) override { return absl::OkStatus(); }
  absl::StatusOr<bool> has_stored(int64_t) override { return false; }
  absl::StatusOr<at::Tensor> restore(const StageProblem&) override { return at::Tensor(); }
  int64_t stages = 0;
};

// Halves what the stages' solver made of stages 0 and 3, after the layer.
class PolishingSolver final : public StageSolver {
 public:
  Needs needs(const architecture::StageRef& at) const override {
    return at.layer < 3 ? Needs::kMoments : Needs::kNothing;  // not the head
  }
  layerwise::DriftForm drift_form() const override { return layerwise::DriftForm::kNone; }
  bool reconstructs_layers() const override { return true; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    EXPECT_FALSE(problem.drift.input.defined());
    weights_.push_back(problem.weights * 1.25);
    return weights_.back();
  }
  absl::StatusOr<std::vector<at::Tensor>> reconstruct_layer(const LayerProblem& problem) override {
    inputs.push_back(tensor::concatenate(problem.inputs));
    targets.push_back(tensor::concatenate(problem.targets));
    int64_t count = 0;
    for (size_t i = 0; i < problem.seen_chunks; ++i) count += problem.inputs.at(i).size(0);
    seen_windows.push_back(count);
    std::vector<at::Tensor> changed = {weights_[0] * 0.5, {}, {}, weights_[3] * 0.5};
    weights_.clear();
    return changed;
  }
  absl::Status store_layer(int64_t layer) override {
    EXPECT_EQ(inputs.size(),
              static_cast<size_t>(layer) + 1);  // reconstructed before it is made durable
    return absl::OkStatus();
  }
  absl::StatusOr<bool> has_stored(int64_t) override { return false; }
  absl::StatusOr<at::Tensor> restore(const StageProblem&) override { return at::Tensor(); }

  std::vector<at::Tensor> inputs, targets;
  std::vector<int64_t> seen_windows;

 private:
  std::vector<at::Tensor> weights_;
};

class WalkTest : public testing::Test {
 protected:
  void SetUp() override {
    decoder_.emplace(toy_decoder(shape_));
    checkpoint_.emplace(save_toy(*decoder_, folder_.path()));
  }

  absl::Status walk_with(ScalingSolver& solver, int64_t chunk_tokens = 48) const {
    return walk(*checkpoint_, windows_, {.device = at::kCPU, .chunk_tokens = chunk_tokens}, solver);
  }

  // The residual stream in front of `layer`, by whole layers.
  static at::Tensor before_layer(const model::Decoder& decoder, const model::Batch& batch,
                                 int64_t layer) {
    const model::AttentionContexts contexts = decoder.attention_contexts(batch);
    at::Tensor x = decoder.embed(batch.ids);
    for (int64_t l = 0; l < layer; ++l) x = decoder.run_layer(l, x, contexts);
    return x;
  }
  static at::Tensor stage_input(const model::Decoder& decoder, const model::Batch& batch,
                                int64_t layer) {
    const at::Tensor x = before_layer(decoder, batch, layer);
    return decoder.runner().begin(layer, x, decoder.layer_parameters(layer)).input.matrix();
  }
  static double difference(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).abs().max() / b.abs().max()).item<double>();
  }
  model::Decoder scaled(double factor, int64_t layers) const {
    model::Decoder copy = decoder_->clone();
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (const architecture::Stage& stage : copy.stages(layer)) {
        for (const architecture::Tensor& matrix : stage.matrices) {
          const std::string& name = matrix.name;
          copy.set_parameter(name, copy.parameters().at(name) * factor);
        }
      }
    }
    return copy;
  }

  ToyShape shape_;
  test::TemporaryFolder folder_;
  std::optional<model::Decoder> decoder_;
  std::optional<format::Checkpoint> checkpoint_;
  text::Windows windows_ = toy_windows(5, 16);
};

// fp32 forwards in other chunk shapes: relative differences of some 1e-6.
constexpr double kForwardTolerance = 1e-5;

TEST_F(WalkTest, UnchangedWeightsGiveTheModelsOwnActivations) {
  ScalingSolver solver(1);
  FRUGAL_ASSERT_OK(walk_with(solver));
  const model::Batch batch = toy_batch(windows_);
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const at::Tensor expected = second_moment(stage_input(*decoder_, batch, layer));
    const InputStatistics& statistics = solver.seen.at({layer, 0}).statistics;
    EXPECT_EQ(statistics.tokens, 80);
    EXPECT_LT(difference(statistics.hessian, expected), kForwardTolerance) << layer;
  }
  const at::Tensor hidden = decoder_->hidden(batch).reshape({-1, shape_.width});
  EXPECT_LT(
      difference(solver.seen.at({shape_.layers, 0}).statistics.hessian, second_moment(hidden)),
      kForwardTolerance);
  EXPECT_EQ(solver.finished, (std::vector<int64_t>{0, 1, 2, 3}));
}

TEST_F(WalkTest, StagesStackTheirMatrices) {
  ScalingSolver solver(1);
  FRUGAL_ASSERT_OK(walk_with(solver));
  const StageProblem& in = solver.seen.at({1, 0});
  EXPECT_EQ(in.names, (std::vector<std::string>{"model.layers.1.self_attn.q_proj.weight",
                                                "model.layers.1.self_attn.k_proj.weight",
                                                "model.layers.1.self_attn.v_proj.weight"}));
  EXPECT_EQ(in.row_counts, (std::vector<int64_t>{32, 16, 16}));
  EXPECT_TRUE(at::equal(in.weights.narrow(0, 32, 16), decoder_->parameters().at(in.names[1])));
  EXPECT_FALSE(in.writes_residual);
  EXPECT_TRUE(solver.seen.at({1, 3}).writes_residual);
  EXPECT_EQ(in.where, "layer 1, attention_in");
}

TEST_F(WalkTest, ChangedWeightsFlowOnAndDriftIsMeasured) {
  ScalingSolver solver(0.8, DriftForm::kInputs);
  FRUGAL_ASSERT_OK(walk_with(solver));
  const model::Batch batch = toy_batch(windows_);
  const model::Decoder changed = scaled(0.8, 2);
  const at::Tensor x = stage_input(changed, batch, 2), original = stage_input(*decoder_, batch, 2);
  const StageProblem& problem = solver.seen.at({2, 0});
  EXPECT_LT(difference(problem.statistics.hessian, second_moment(x)), kForwardTolerance);
  const at::Tensor drift = at::mm((original - x).to(at::kDouble).t(), x.to(at::kDouble)) / 80.0;
  EXPECT_LT(difference(problem.drift.input, drift), 1e-4);  // a difference of near values
  EXPECT_FALSE(problem.drift.residual.defined());
  EXPECT_EQ(solver.seen.at({0, 0}).drift.input.abs().max().item<double>(), 0);

  // In front of the output of attention the residual stream is still the layer's input.
  const StageProblem& out = solver.seen.at({2, 1});
  ASSERT_TRUE(out.drift.residual.defined());
  EXPECT_EQ(out.drift.residual.sizes(), (std::vector<int64_t>{32, 32}));
}

TEST_F(WalkTest, OnlyTheChangedModelsEmbeddingLosesTheRemovedChannels) {
  ScalingSolver solver(1, DriftForm::kInputs);
  FRUGAL_ASSERT_OK(walk(*checkpoint_, windows_,
                        {.device = at::kCPU, .chunk_tokens = 48, .removed_channels = {3, 17}},
                        solver));
  model::Decoder changed = decoder_->clone();
  const at::Tensor embedding =
      changed.parameters().find("model.embed_tokens.weight")->second.clone();
  embedding.select(1, 3).zero_();
  embedding.select(1, 17).zero_();
  changed.set_parameter("model.embed_tokens.weight", embedding);
  const model::Batch batch = toy_batch(windows_);
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const at::Tensor x = stage_input(changed, batch, layer);
    const at::Tensor original = stage_input(*decoder_, batch, layer);
    const StageProblem& problem = solver.seen.at({layer, 0});
    EXPECT_LT(difference(problem.statistics.hessian, second_moment(x)), kForwardTolerance);
    const at::Tensor drift = at::mm((original - x).to(at::kDouble).t(), x.to(at::kDouble)) / 80.0;
    EXPECT_LT(difference(problem.drift.input, drift), 1e-4);  // a difference of near values
  }
}

TEST_F(WalkTest, TheDriftOfOutputsIsThatOfInputsThroughTheWeights) {
  shape_.neurons = 96;  // `down` has three columns for every row
  SetUp();
  ScalingSolver inputs(0.8, DriftForm::kInputs), outputs(0.8, DriftForm::kOutputs);
  FRUGAL_ASSERT_OK(walk_with(inputs));
  FRUGAL_ASSERT_OK(walk_with(outputs));
  for (const auto& [key, problem] : inputs.seen) {
    if (key.first == shape_.layers) continue;
    const StageProblem& other = outputs.seen.at(key);
    EXPECT_FALSE(other.drift.input.defined());
    const at::Tensor expected = at::mm(problem.weights.to(at::kDouble), problem.drift.input);
    // fp32 sums in another order, of outputs that are themselves such sums.
    const double scale = expected.abs().max().item<double>();
    EXPECT_LE((other.drift.output - expected).abs().max().item<double>(), 1e-5 * scale)
        << problem.where;
  }
}

TEST_F(WalkTest, UnchangedStreamsDoNotDrift) {
  UnchangingSolver solver;
  FRUGAL_ASSERT_OK(walk(*checkpoint_, windows_, {.chunk_tokens = 48, .held_out = 1}, solver));
  EXPECT_EQ(solver.stages, shape_.layers * 4);
}

TEST_F(WalkTest, RoundedProductsAreCloseAndTheSameAtAnyThreadCount) {
  ScalingSolver exact(0.8, DriftForm::kOutputs);
  FRUGAL_ASSERT_OK(walk_with(exact));
  std::optional<ScalingSolver> first;
  for (const int threads : {1, 3}) {
    const ThreadCount count(threads);
    ScalingSolver rounded(0.8, DriftForm::kOutputs);
    FRUGAL_ASSERT_OK(walk(*checkpoint_, windows_,
                          {.chunk_tokens = 48, .precision = model::Precision::kRounded}, rounded));
    for (const auto& [key, problem] : rounded.seen) {
      const at::Tensor& hessian = problem.statistics.hessian;
      // Twelve roundings of activations by at most 2⁻⁹ in front of the last stage.
      EXPECT_LT(difference(hessian, exact.seen.at(key).statistics.hessian), 2 * 12 * 0x1p-9)
          << problem.where;
      if (!first) continue;
      EXPECT_TRUE(at::equal(hessian, first->seen.at(key).statistics.hessian)) << problem.where;
      EXPECT_TRUE(at::equal(problem.drift.output, first->seen.at(key).drift.output));
    }
    if (!first) first.emplace(std::move(rounded));
  }
}

TEST_F(WalkTest, HeldOutWindowsHaveStatisticsOfTheirOwn) {
  ScalingSolver apart(0.9, DriftForm::kInputs), seen(0.9, DriftForm::kInputs);
  FRUGAL_ASSERT_OK(
      walk(*checkpoint_, windows_, {.device = at::kCPU, .chunk_tokens = 48, .held_out = 2}, apart));
  text::Windows fewer = windows_;
  fewer.count -= 2;
  fewer.ids.resize(static_cast<size_t>(fewer.count * fewer.length));
  FRUGAL_ASSERT_OK(walk(*checkpoint_, fewer, {.device = at::kCPU, .chunk_tokens = 48}, seen));
  for (const auto& [key, problem] : seen.seen) {
    const StageProblem& other = apart.seen.at(key);
    EXPECT_TRUE(at::equal(problem.statistics.hessian, other.statistics.hessian)) << problem.where;
    EXPECT_TRUE(at::equal(problem.drift.input, other.drift.input)) << problem.where;
    EXPECT_EQ(other.held_out_statistics.tokens, 2 * windows_.length);
    EXPECT_EQ(problem.held_out_statistics.tokens, 0);
    EXPECT_EQ(other.held_out_drift.residual.defined(), problem.writes_residual);
  }
  FRUGAL_EXPECT_ERROR(walk(*checkpoint_, windows_, {.held_out = windows_.count}, apart),
                      absl::StatusCode::kInternal, "holds out");
}

TEST_F(WalkTest, APolishedLayerIsWhatTheNextOneSees) {
  PolishingSolver solver;
  FRUGAL_ASSERT_OK(walk(*checkpoint_, windows_, {.chunk_tokens = 48, .held_out = 2}, solver));
  EXPECT_EQ(solver.seen_windows,
            std::vector<int64_t>(static_cast<size_t>(shape_.layers), windows_.count - 2));
  model::Decoder changed = decoder_->clone();
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    for (size_t stage = 0; stage < changed.stages(layer).size(); ++stage) {
      for (const architecture::Tensor& matrix : changed.stages(layer)[stage].matrices) {
        const at::Tensor& weights = changed.parameters().at(matrix.name);
        weights.mul_(stage == 0 || stage == 3 ? 0.625 : 1.25);
      }
    }
  }
  const model::Batch batch = toy_batch(windows_);
  for (int64_t layer = 0; layer < shape_.layers; ++layer) {
    const auto at = static_cast<size_t>(layer);
    // Chunks against one batch: the last bits of matrix products.
    EXPECT_LT(difference(solver.inputs[at], before_layer(changed, batch, layer)), 1e-5);
    EXPECT_LT(difference(solver.targets[at], before_layer(*decoder_, batch, layer + 1)), 1e-5);
  }
}

TEST_F(WalkTest, ResumedWalkHasTheSameBitsAtAnyThreadCount) {
  ScalingSolver whole(0.9, DriftForm::kInputs);
  FRUGAL_ASSERT_OK(walk_with(whole));
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    ScalingSolver solver(0.9, DriftForm::kInputs);
    solver.fail_at = 2;
    FRUGAL_EXPECT_ERROR(walk_with(solver), absl::StatusCode::kFailedPrecondition, "layer 2");
    EXPECT_EQ(solver.finished, (std::vector<int64_t>{0, 1}));
    solver.fail_at = -1;
    solver.restored_layers = 2;
    solver.seen.clear();
    FRUGAL_ASSERT_OK(walk_with(solver));
    EXPECT_FALSE(solver.seen.contains({1, 0}));
    for (size_t stage = 0; stage < 4; ++stage) {
      const StageProblem& expected = whole.seen.at({2, stage});
      const StageProblem& found = solver.seen.at({2, stage});
      EXPECT_TRUE(at::equal(found.statistics.hessian, expected.statistics.hessian)) << stage;
      EXPECT_TRUE(at::equal(found.drift.input, expected.drift.input)) << stage;
      EXPECT_TRUE(!expected.writes_residual ||
                  at::equal(found.drift.residual, expected.drift.residual))
          << stage;
    }
  }
}

TEST_F(WalkTest, ActivationsOnDiskGiveTheSameBits) {
  ScalingSolver in_memory(0.9, DriftForm::kInputs);
  FRUGAL_ASSERT_OK(walk_with(in_memory));
  const test::TemporaryFolder folder;
  const int64_t chunk_bytes = 48 * shape_.width * 4;
  for (const int64_t limit : {int64_t{1}, 3 * chunk_bytes}) {
    for (const int threads : {1, 2}) {
      const ThreadCount count(threads);
      ScalingSolver spilled(0.9, DriftForm::kInputs);
      FRUGAL_ASSERT_OK(
          walk(*checkpoint_, windows_,
               {.chunk_tokens = 48, .spill_bytes = limit, .spill_folder = folder.path()}, spilled));
      ASSERT_EQ(spilled.seen.size(), in_memory.seen.size());
      for (const auto& [key, expected] : in_memory.seen) {
        const StageProblem& found = spilled.seen.at(key);
        EXPECT_TRUE(at::equal(found.statistics.hessian, expected.statistics.hessian))
            << expected.where;
        EXPECT_TRUE(at::equal(found.statistics.mean_absolute, expected.statistics.mean_absolute));
        EXPECT_TRUE(at::equal(found.drift.input, expected.drift.input)) << expected.where;
        EXPECT_TRUE(!expected.writes_residual ||
                    at::equal(found.drift.residual, expected.drift.residual));
      }
      EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    }
  }
}

TEST_F(WalkTest, PolishedLayersComeFromDiskToo) {
  PolishingSolver in_memory, spilled;
  const test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(walk(*checkpoint_, windows_, {.chunk_tokens = 48}, in_memory));
  FRUGAL_ASSERT_OK(walk(*checkpoint_, windows_,
                        {.chunk_tokens = 48, .spill_bytes = 1, .spill_folder = folder.path()},
                        spilled));
  for (size_t layer = 0; layer < in_memory.inputs.size(); ++layer) {
    EXPECT_TRUE(at::equal(in_memory.inputs[layer], spilled.inputs[layer])) << layer;
    EXPECT_TRUE(at::equal(in_memory.targets[layer], spilled.targets[layer])) << layer;
  }
}

TEST_F(WalkTest, ADiskThatCannotBeWrittenIsNamed) {
  ScalingSolver solver(0.9);
  FRUGAL_EXPECT_ERROR(
      walk(*checkpoint_, windows_,
           {.spill_bytes = 1, .spill_folder = folder_.path() / "config.json"}, solver),
      absl::StatusCode::kInternal, "config.json/activations.");
}

TEST_F(WalkTest, ChunksOnlyMoveTheLastBits) {
  ScalingSolver one(0.9), another(0.9);
  FRUGAL_ASSERT_OK(walk_with(one, 1));  // a window each
  FRUGAL_ASSERT_OK(walk_with(another, 1000));
  EXPECT_LT(difference(one.seen.at({2, 3}).statistics.hessian,
                       another.seen.at({2, 3}).statistics.hessian),
            kForwardTolerance);
}

TEST_F(WalkTest, WithoutWindowsOnlyWeightsAreSeen) {
  windows_ = text::Windows{};
  ScalingSolver solver(0.9, DriftForm::kInputs);
  solver.restored_layers = 1;
  FRUGAL_ASSERT_OK(walk_with(solver));
  EXPECT_EQ(solver.seen.size(), 2u * 4u + 1u);
  EXPECT_EQ(solver.seen.at({2, 3}).statistics.tokens, 0);
  EXPECT_FALSE(solver.seen.at({2, 3}).drift.input.defined());
}

TEST_F(WalkTest, OverflowingActivationsAreNamed) {
  const std::string name = "model.layers.1.self_attn.o_proj.weight";
  decoder_->set_parameter(name, decoder_->parameters().at(name) * 3e38);
  test::TemporaryFolder folder;
  const format::Checkpoint broken = save_toy(*decoder_, folder.path());
  ScalingSolver solver(1);
  FRUGAL_EXPECT_ERROR(walk(broken, windows_, {}, solver), absl::StatusCode::kFailedPrecondition,
                      "layer 1, mlp_in");
}

TEST_F(WalkTest, InterruptStopsBetweenLayers) {
  ScalingSolver solver(1);
  base::request_interrupt();
  const absl::Status status = walk_with(solver);
  base::clear_interrupt();
  EXPECT_TRUE(base::is_interrupted(status));
  EXPECT_TRUE(solver.finished.empty());
}

TEST(Walk, TiedHeadsAreLeftOut) {
  test::TemporaryFolder folder;
  const format::Checkpoint checkpoint =
      save_toy(toy_decoder({.layers = 1, .tied = true}), folder.path());
  ScalingSolver solver(1);
  FRUGAL_ASSERT_OK(walk(checkpoint, toy_windows(2, 8), {}, solver));
  EXPECT_EQ(solver.finished, (std::vector<int64_t>{0}));
}

}  // namespace
}  // namespace frugal::layerwise
