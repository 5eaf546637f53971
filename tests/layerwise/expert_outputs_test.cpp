#include "layerwise/pruning/expert_outputs.h"

#include <gtest/gtest.h>

#include "layerwise/walk/passive_solver.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_mixture.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

// Every expert on every token; where a token was sent, what the walk itself had there.
TEST(ExpertOutputs, AreThoseOfEveryExpertOnEveryToken) {
  const model::Decoder decoder = toy_mixture({});
  const test::TemporaryFolder folder;
  const format::Checkpoint checkpoint = save_toy(decoder, folder.path());
  int64_t layers = 0;
  WalkOptions options{.chunk_tokens = 32};
  options.observe_experts = [&](const LayerExperts& experts) -> absl::Status {
    ++layers;
    EXPECT_EQ(experts.chunks, 3u);
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<at::Tensor> outputs,
                            all_expert_outputs(checkpoint, experts, model::Precision::kFloat32));
    EXPECT_EQ(outputs.size(), experts.chunks);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const model::Routing routing = experts.routing(i);
      for (int64_t e = 0; e < 4; ++e) {
        FRUGAL_ASSIGN_OR_RETURN(const ExpertMatrices own,
                                load_expert(checkpoint, experts.layer, e));
        const at::Tensor x = routing.normed.reshape({-1, 16});
        const at::Tensor neurons = at::silu(at::linear(x, own.gate)) * at::linear(x, own.up);
        const at::Tensor expected = at::linear(neurons, own.down);
        const double tolerance = 1e-5 * expected.abs().max().item<double>();
        EXPECT_LT((outputs[i][e] - expected).abs().max().item<double>(), tolerance);
        if (routing.tokens_of(e) == 0) continue;
        const at::Tensor sent = outputs[i][e].index_select(0, routing.input_of(e).tokens);
        EXPECT_LT((sent - routing.outputs.at(static_cast<size_t>(e))).abs().max().item<double>(),
                  tolerance);
      }
    }
    return absl::OkStatus();
  };
  PassiveSolver observer;
  FRUGAL_ASSERT_OK(walk(checkpoint, toy_windows(6, 16), options, observer));
  EXPECT_EQ(layers, 2);
}

// An observer's error ends the walk.
TEST(ExpertOutputs, ObserversMayFail) {
  const test::TemporaryFolder folder;
  const format::Checkpoint checkpoint = save_toy(toy_mixture({}), folder.path());
  WalkOptions options;
  options.observe_experts = [](const LayerExperts&) { return base::failed("seen enough"); };
  PassiveSolver observer;
  FRUGAL_EXPECT_ERROR(walk(checkpoint, toy_windows(2, 16), options, observer),
                      absl::StatusCode::kFailedPrecondition, "seen enough");
}

}  // namespace
}  // namespace frugal::layerwise
