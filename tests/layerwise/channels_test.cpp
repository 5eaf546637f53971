#include "layerwise/pruning/channels.h"

#include <ATen/core/grad_mode.h>

#include "architecture/stages.h"
#include "layerwise/rounding/gptq.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_model.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(Channels, CostIsWhatTheOutputLoses) {
  const at::Tensor weights = random_matrix(1, "weights", 7, 12);
  const at::Tensor hessian = second_moment(random_inputs(1, 60, 12));
  const at::Tensor costs = channel_costs(weights, hessian);
  for (int64_t j = 0; j < 12; ++j) {
    const at::Tensor cut = weights.clone();
    cut.select(1, j).zero_();
    const double expected = output_error(cut, weights, hessian).relative();
    EXPECT_NEAR(costs[j].item<double>(), expected, 1e-12 * expected);
  }
  EXPECT_EQ(channel_costs(at::zeros({7, 12}), hessian).abs().max().item<double>(), 0);
  EXPECT_THROW(channel_costs(weights, hessian.narrow(0, 0, 5)), c10::Error);
}

TEST(Channels, TheOthers) {
  EXPECT_EQ(other_channels({0, 3, 4}, 6), (std::vector<int64_t>{1, 2, 5}));
  EXPECT_EQ(other_channels({0, 1}, 2), (std::vector<int64_t>{}));
}

// Zeros in the full-width model, and the same model without the channels. Random gains and an
// epsilon of the size of the activations' squares: a factor that is missing would show.
TEST(Channels, ZerosComputeWhatTheNarrowModelDoes) {
  architecture::ModelConfig config = toy_config({.width = 40});
  config.final_norm.epsilon = 0.5;
  const std::vector<int64_t> kept = {0, 1, 2, 5, 7, 8, 11, 13, 14, 20, 21, 22, 30, 33, 38, 39};
  const at::Tensor set = at::tensor(kept, at::kLong);
  const at::Tensor removed = at::tensor(other_channels(kept, 40), at::kLong);
  model::Decoder full = model::Decoder::create(config, 3, at::kCPU).value();
  model::Decoder narrow = model::Decoder::create(with_channels(config, 16), 3, at::kCPU).value();
  EXPECT_EQ(narrow.config().layers.front().attention.head_size,
            config.layers.front().attention.head_size);
  const architecture::StreamUses uses = architecture::stream_uses(config);
  for (const auto& [name, use] : uses) {
    at::Tensor value = full.parameters().at(name).clone();
    const int64_t across = use == architecture::StreamUse::kWrites ? 0 : -1;
    if (use == architecture::StreamUse::kGains) {
      value += random_matrix(4, name, 1, 40).flatten() * 0.3;
      full.set_parameter(name, value);
      narrow.set_parameter(name, value.index_select(0, set) * gain_factor(40, 16));
      continue;
    }
    full.set_parameter(name, value.index_fill(across, removed, 0));
    narrow.set_parameter(name, value.index_select(across, set).contiguous());
  }
  for (const auto& [name, value] : full.parameters()) {
    if (!uses.contains(name)) narrow.set_parameter(name, value);
  }
  const at::NoGradGuard no_grad;
  const model::Batch batch = toy_batch(toy_windows(4, 24));
  const at::Tensor x = full.logits(batch), y = narrow.logits(batch);
  // fp32 forwards whose sums are cut differently: relative differences of some 1e-6.
  EXPECT_LT(((x - y).abs().max() / x.abs().max()).item<double>(), 1e-5);
}

TEST(Channels, AllOfThemAreTheModelItself) {
  const architecture::ModelConfig config = toy_config({.width = 48});
  const architecture::ModelConfig same = with_channels(config, 48);
  EXPECT_EQ(same.final_norm.epsilon, config.final_norm.epsilon);
  EXPECT_EQ(same.hidden_size, config.hidden_size);
  EXPECT_EQ(same.layers.front().attention.head_size, config.layers.front().attention.head_size);
  EXPECT_EQ(gain_factor(48, 48), 1.0);
}

}  // namespace
}  // namespace frugal::layerwise
