#include "layerwise/rounding/block_rounding.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "layerwise/rounding/gptq.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

// A layer of a toy model with its inputs; the targets are what its own weights give. The last chunk
// is held out.
class Toy {
 public:
  explicit Toy(uint64_t seed = 1, int64_t windows = 48, uint64_t text = 1)
      : decoder_(toy_decoder({.layers = 1}, seed)),
        stages_(decoder_.stages(0)),
        small_(decoder_.layer_parameters(0)) {
    const at::NoGradGuard no_grad;
    const model::Batch batch = toy_batch(toy_windows(windows, 16, 50, text));
    contexts_ = decoder_.attention_contexts(batch);
    for (const at::Tensor& chunk : decoder_.embed(batch.ids).split(20)) {
      inputs_.push_back(chunk);
      targets_.push_back(decoder_.run_layer(0, chunk, contexts_));
    }
  }

  LayerProblem problem() const {
    return {.layer = 0,
            .where = "toy",
            .stages = stages_,
            .runner = decoder_.runner(),
            .small = small_,
            .contexts = contexts_,
            .inputs = inputs_,
            .targets = targets_,
            .seen_chunks = inputs_.size() - 1};
  }

  // Rounded to nearest.
  BlockLayer start(const std::string& grid_name) const {
    BlockLayer layer;
    for (const architecture::Stage& stage : stages_) {
      layer.emplace_back();
      for (const architecture::Tensor& matrix : stage.matrices) {
        const at::Tensor& weights = decoder_.parameters().at(matrix.name);
        auto grid = grid::find_grid(grid_name, weights.size(1)).value();
        layer.back().push_back({round_to_nearest(weights, {}, grid, true).value(), weights});
      }
    }
    return layer;
  }

  // Mean squared error of the layer's output over `batch`.
  double error(const BlockLayer& layer, const Toy& on) const {
    const at::NoGradGuard no_grad;
    model::Decoder changed = decoder_;
    for (size_t s = 0; s < stages_.size(); ++s) {
      for (size_t i = 0; i < stages_[s].matrices.size(); ++i) {
        changed.set_parameter(stages_[s].matrices[i].name, decode(layer[s][i].matrix));
      }
    }
    double sum = 0;
    for (const at::Tensor& x : on.inputs_) {
      const at::Tensor difference =
          changed.run_layer(0, x, contexts_) - decoder_.run_layer(0, x, contexts_);
      sum += difference.square().sum().item<double>();
    }
    return sum;
  }

 private:
  model::Decoder decoder_;
  std::vector<architecture::Stage> stages_;
  model::LayerParameters small_;
  model::AttentionContexts contexts_;
  std::vector<at::Tensor> inputs_, targets_;
};

std::vector<std::vector<uint8_t>> codes(const BlockLayer& layer) {
  std::vector<std::vector<uint8_t>> all;
  for (const auto& stage : layer) {
    for (const BlockMatrix& matrix : stage) all.push_back(matrix.matrix.codes);
  }
  return all;
}

TEST(BlockRounding, WithoutIterationsTheStartStays) {
  const Toy toy;
  BlockLayer layer = toy.start("iq4_nl");
  const auto before = codes(layer);
  // Codes that are not the nearest ones, as GPTQ leaves them, must be reproduced as well.
  for (auto& stage : layer) {
    for (BlockMatrix& matrix : stage) matrix.target = matrix.target * 1.3 + 0.05;
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result,
                              round_block(toy.problem(), {.iterations = 0}, layer));
  EXPECT_EQ(codes(layer), before);
  EXPECT_EQ(result.changed_codes, 0);
  EXPECT_EQ(result.before, result.after);
}

TEST(BlockRounding,
     ATinyRateReproducesTheStart) {  // V moves by 1e-6 in all: less than the 0.01 to the next code
  for (const char* grid : {"q4_0", "iq4_nl", "int4:g32:asym"}) {
    const Toy toy;
    BlockLayer layer = toy.start(grid);
    const auto before = codes(layer);
    for (auto& stage : layer) {
      for (BlockMatrix& matrix : stage) matrix.target = matrix.target * -1.3;  // far off
    }
    FRUGAL_ASSERT_OK(round_block(toy.problem(), {.iterations = 4, .rate = 1e-6}, layer));
    EXPECT_EQ(codes(layer), before) << grid;
  }
}

TEST(BlockRounding, BeatsRoundingToNearestOnUnseenInputs) {
  for (const char* grid : {"q4_0", "iq4_nl"}) {
    constexpr int kModels = 10;
    double sum = 0, squares = 0;  // of logarithms of error over the start's
    for (uint64_t seed = 1; seed <= kModels; ++seed) {
      const Toy toy(seed, 120), unseen(seed, 32, /*text=*/2);
      BlockLayer layer = toy.start(grid);
      const double before = toy.error(layer, unseen);
      FRUGAL_ASSERT_OK_AND_ASSIGN(
          const auto result,
          round_block(toy.problem(), {.iterations = 30, .batch_windows = 4, .guards = 3}, layer));
      const double ratio = std::log(toy.error(layer, unseen) / before);
      EXPECT_GT(result.changed_codes, 0);
      sum += ratio;
      squares += ratio * ratio;
    }
    // Below 1 by four standard errors: no single model, and no last bit of a CPU, decides.
    const double mean = sum / kModels;
    const double error = std::sqrt((squares / kModels - mean * mean) / (kModels - 1));
    EXPECT_LT(mean + 4 * error, 0) << grid << ": " << std::exp(mean) << " of the start's error";
  }
}

TEST(BlockRounding, NeverWorseOnTheGuard) {
  const Toy toy;
  for (const double rate : {0.001, 0.5}) {
    BlockLayer layer = toy.start("q4_0");
    const auto before = codes(layer);
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto result,
        round_block(toy.problem(), {.iterations = 3, .rate = rate, .guards = 3}, layer));
    EXPECT_LE(result.after, result.before);
    EXPECT_EQ(result.best_iteration == 0, codes(layer) == before && result.after == result.before);
  }
}

// What is held out says which codes are kept, and nothing else.
TEST(BlockRounding, HeldOutWindowsGiveNoGradients) {
  const Toy toy(1, 60), other(1, 60, /*text=*/2);
  std::vector<std::vector<std::vector<uint8_t>>> found;
  std::vector<double> before;
  for (const bool exchanged : {false, true}) {
    LayerProblem problem = toy.problem();
    if (exchanged) {
      problem.inputs.back() = other.problem().inputs.back();
      problem.targets.back() = other.problem().targets.back();
    }
    BlockLayer layer = toy.start("q4_0");
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result,
                                round_block(problem, {.iterations = 30, .guards = 1}, layer));
    EXPECT_EQ(result.best_iteration, 30);
    before.push_back(result.before);
    found.push_back(codes(layer));
  }
  EXPECT_NE(before[0], before[1]);
  EXPECT_EQ(found[0], found[1]);
}

TEST(BlockRounding, CodesStayNextToTheStart) {
  const Toy toy;
  BlockLayer layer = toy.start("q4_0");
  const auto before = codes(layer);
  FRUGAL_ASSERT_OK(round_block(toy.problem(), {.iterations = 20, .rate = 1}, layer));
  const auto after = codes(layer);
  for (size_t m = 0; m < before.size(); ++m) {
    for (size_t i = 0; i < before[m].size(); ++i)
      EXPECT_LE(std::abs(after[m][i] - before[m][i]), 1);
  }
}

TEST(BlockRounding, MatricesWithoutAGridStay) {
  const Toy toy;
  BlockLayer layer = toy.start("q4_0");
  layer[1][0].matrix = {};
  const at::Tensor kept = layer[1][0].target.clone();
  FRUGAL_ASSERT_OK(round_block(toy.problem(), {.iterations = 10}, layer));
  EXPECT_TRUE(stacked_weights(layer)[1].equal(kept));
}

TEST(BlockRounding, SameBitsAtAnyNumberOfThreads) {
  const Toy toy;
  BlockLayer one = toy.start("q4_0"), three = one;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  FRUGAL_ASSERT_OK(round_block(toy.problem(), {.iterations = 10}, one));
  at::set_num_threads(3);
  FRUGAL_ASSERT_OK(round_block(toy.problem(), {.iterations = 10}, three));
  at::set_num_threads(threads);
  EXPECT_EQ(codes(one), codes(three));
}

// A layer of one matrix y = x Wᵀ.
class OneMatrix final : public model::LayerRunner {
 public:
  OneMatrix() : LayerRunner({}) {}
  model::LayerState begin(int64_t, const at::Tensor& x,
                          const model::LayerParameters&) const override {
    return {x, {x}};
  }
  void advance(model::LayerState& state, const architecture::StageRef&,
               const std::vector<at::Tensor>& outputs, const model::LayerParameters&,
               const model::AttentionContexts&, model::KeyValueCache*) const override {
    state.residual = outputs[0];
  }
};

// The least squared error over every choice of a neighboring code for the first `free` weights of a
// row.
double brute_force(const grid::QuantizedMatrix& start, int64_t free,
                   const std::function<double(const at::Tensor&)>& error) {
  grid::QuantizedMatrix trial = start;
  double best = INFINITY;
  const std::function<void(int64_t)> choose = [&](int64_t i) {
    if (i == free) {
      best = std::min(best, error(decode(trial)));
      return;
    }
    const uint8_t own = start.codes[static_cast<size_t>(i)];
    for (int code = std::max(0, own - 1); code <= std::min(15, own + 1); ++code) {
      trial.codes[static_cast<size_t>(i)] = static_cast<uint8_t>(code);
      choose(i + 1);
    }
    trial.codes[static_cast<size_t>(i)] = own;
  };
  choose(0);
  return best;
}

TEST(BlockRounding, NeverBeatsTheBestOfAllRoundings) {
  constexpr int64_t kFree = 6, kColumns = 32;
  const OneMatrix runner;
  const std::vector<architecture::Stage> stages = {
      {.name = "only", .matrices = {{.name = "matrix"}}, .writes_residual = true}};
  const model::LayerParameters small;
  const model::AttentionContexts contexts;
  double start_total = 0, found_total = 0, best_total = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    at::manual_seed(seed);
    const at::Tensor weights = at::randn({1, kColumns});
    at::Tensor window = at::zeros({1, 40, kColumns});  // inputs of six columns, strongly correlated
    window.narrow(2, 0, kFree).copy_(at::randn({1, 40, 1}) + 0.5 * at::randn({1, 40, kFree}));
    const at::Tensor x = window.expand({4, -1, -1}).contiguous();
    auto grid = grid::find_grid("q4_0", kColumns).value();
    BlockLayer layer = {{{round_to_nearest(weights, {}, grid, true).value(), weights}}};
    const grid::QuantizedMatrix start = layer[0][0].matrix;
    const auto error = [&](const at::Tensor& w) {
      return at::mse_loss(at::linear(window, w), at::linear(window, weights)).item<double>();
    };
    const LayerProblem problem{.where = "one matrix",
                               .stages = stages,
                               .runner = runner,
                               .small = small,
                               .contexts = contexts,
                               // The guard is the same text: then it measures the optimum.
                               .inputs = {x, window},
                               .targets = {at::linear(x, weights), at::linear(window, weights)},
                               .seen_chunks = 1};
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto result,
                                round_block(problem, {.iterations = 100, .guards = 100}, layer));
    const double best = brute_force(start, kFree, error);
    EXPECT_GE(error(decode(layer[0][0].matrix)), best * (1 - 1e-5)) << seed;  // fp32 sums
    EXPECT_LE(result.after, result.before);
    EXPECT_NEAR(result.after, error(decode(layer[0][0].matrix)), 1e-5 * result.after);
    start_total += result.before;
    found_total += result.after;
    best_total += best;
  }
  // Of what any choice of neighboring codes could gain, at most a tenth is left.
  EXPECT_GT(start_total - found_total, 0.9 * (start_total - best_total));
}

TEST(BlockRounding, RefusesWhatDoesNotFit) {
  const Toy toy, single(1, 1);
  BlockLayer layer = toy.start("q4_0");
  EXPECT_THAT(round_block(single.problem(), {}, layer).status().message(),
              ::testing::HasSubstr("found 0 and 1"));
  LayerProblem unguarded = toy.problem();
  unguarded.seen_chunks = unguarded.inputs.size();
  EXPECT_THAT(round_block(unguarded, {}, layer).status().message(),
              ::testing::HasSubstr("found 48 and 0"));
  EXPECT_THAT(round_block(toy.problem(), {.guards = 0}, layer).status().message(),
              ::testing::HasSubstr("guards 0"));
  layer.pop_back();
  EXPECT_THAT(round_block(toy.problem(), {}, layer).status().message(),
              ::testing::HasSubstr("3 stages"));
}

}  // namespace
}  // namespace frugal::layerwise
