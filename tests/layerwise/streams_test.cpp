#include "layerwise/walk/streams.h"

#include <gtest/gtest.h>

#include "support/random_tensors.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

// A layer of one matrix [C, C] that every second token goes through; what comes out is added to
// those tokens.
class EverySecondToken final : public model::LayerRunner {
 public:
  EverySecondToken() : LayerRunner({}) {}
  model::LayerState begin(int64_t, const at::Tensor& x,
                          const model::LayerParameters&) const override {
    model::StageInput input{{}, at::arange(0, x.size(0) * x.size(1), 2, at::kLong)};
    input.rows = input.rows_of(x);
    return {x, input};
  }
  void advance(model::LayerState& state, const architecture::StageRef&,
               const std::vector<at::Tensor>& outputs, const model::LayerParameters&,
               const model::AttentionContexts&, model::KeyValueCache*) const override {
    state.residual = state.input.added_to(state.residual, outputs[0]);
    state.input = {};
  }
};

TEST(StreamRunner, TakesRowsOfSomeTokensThroughAStage) {
  constexpr int64_t kWidth = 8;
  const ActivationStore store(0, {});
  const StreamRunner runner(std::make_shared<const EverySecondToken>(), store, at::kCPU);
  const at::Tensor weights = random_matrix(1, "weights", kWidth, kWidth);
  Stream stream;
  for (const char* name : {"first", "second"})
    stream.layer_inputs.push_back(random_matrix(1, name, 6, kWidth).view({2, 3, kWidth}));
  const std::vector<at::Tensor> before = stream.layer_inputs;
  runner.begin(stream, 0, {});
  for (const model::LayerState& state : stream.states)
    EXPECT_EQ(state.input.rows.sizes(), (std::vector<int64_t>{3, kWidth}));
  runner.advance(stream, {0, 0}, {weights, {kWidth}, model::Precision::kFloat32}, {}, {});
  StreamRunner::end(stream);
  for (size_t i = 0; i < before.size(); ++i) {
    const at::Tensor x = before[i].view({6, kWidth});
    const at::Tensor expected = x.clone();
    for (int64_t token = 0; token < 6; token += 2) expected[token] += x[token].matmul(weights.t());
    // A sum of 8 products of numbers below 4 in two orders, and one addition.
    EXPECT_LT((stream.layer_inputs[i].view({6, kWidth}) - expected).abs().max().item<double>(),
              10 * 8 * 16 * 0x1p-24);
  }
}

}  // namespace
}  // namespace frugal::layerwise
