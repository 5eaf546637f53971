#include "layerwise/walk/expert_blend.h"

#include <gtest/gtest.h>

#include <map>

#include "layerwise/walk/passive_solver.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_mixture.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(BlendShare, FallsWithTokensAndEndsAtFourPerColumn) {
  EXPECT_EQ(blend_share(0, 10, 2), 1.0);
  EXPECT_EQ(blend_share(20, 10, 2), 0.5);
  EXPECT_NEAR(blend_share(39, 10, 2), 20.0 / 59.0, 1e-15);
  EXPECT_EQ(blend_share(40, 10, 2), 0.0);
  EXPECT_EQ(blend_share(0, 10, 0), 0.0);  // switched off
  double before = 2;
  for (int64_t tokens = 0; tokens < 50; ++tokens) {
    const double now = blend_share(tokens, 10, 2);
    EXPECT_TRUE(now < before || now == 0) << tokens;
    before = now;
  }
}

InputStatistics statistics_of(uint64_t seed, int64_t tokens) {
  return gather_statistics({random_inputs(seed, tokens, 6)}, Needs::kHessian, "test").value();
}

TEST(BlendedStatistics, AreBetweenTheTwo) {
  const InputStatistics own = statistics_of(1, 7), all = statistics_of(2, 90);
  const InputStatistics same = blended(own, all, 0);
  EXPECT_TRUE(same.hessian.is_same(own.hessian));  // not one bit
  EXPECT_EQ(same.worth(), 7);
  EXPECT_EQ(same.blend, 0);
  const InputStatistics half = blended(own, all, 0.5);
  EXPECT_TRUE(at::allclose(half.hessian, 0.5 * (own.hessian + all.hessian)));
  EXPECT_TRUE(at::allclose(half.mean_square, half.hessian.diagonal()));
  EXPECT_TRUE(
      at::equal(half.maximum_absolute, at::maximum(own.maximum_absolute, all.maximum_absolute)));
  EXPECT_EQ(half.tokens, 7);
  EXPECT_EQ(half.blend, 0.5);
  EXPECT_EQ(half.worth(), std::llround(1 / (0.25 / 7 + 0.25 / 90)));
  const InputStatistics one = blended({}, all, 1);
  EXPECT_TRUE(at::equal(one.hessian, all.hessian));
  EXPECT_EQ(one.tokens, 0);
  EXPECT_EQ(one.worth(), 90);
}

TEST(BlendedStatistics, DriftIsOfTheOwnTokensAlone) {
  const at::Tensor drift = random_matrix(1, "drift", 3, 3).to(at::kDouble);
  const Drift weaker = blended(Drift{.output = drift}, 0.25);
  EXPECT_TRUE(at::allclose(weaker.output, 0.75 * drift));
  EXPECT_FALSE(weaker.input.defined());
  EXPECT_TRUE(blended(Drift{.output = drift}, 0).output.is_same(drift));
}

using Seen = std::map<std::pair<size_t, int64_t>, InputStatistics>;  // by stage and expert

class Listener final : public PassiveSolver {
 public:
  Needs needs(const architecture::StageRef& at) const override {
    return at.layer == 0 && at.expert != architecture::kNoExpert ? Needs::kHessian
                                                                 : Needs::kNothing;
  }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    if (problem.at.layer == 0 && problem.at.expert >= 0)
      seen[{problem.at.stage, problem.at.expert}] = problem.statistics;
    return at::Tensor();
  }
  Seen seen;
};

class BlendingWalk : public testing::Test {
 protected:
  void save(const model::Decoder& decoder) {
    decoder_.emplace(decoder.clone());
    checkpoint_.emplace(save_toy(decoder, folder_.path()));
  }
  // `inputs_`: what the experts of layer 0 read.
  absl::StatusOr<Seen> walk_with(WalkOptions options) {
    Listener solver;
    inputs_.clear();
    options.chunk_tokens = 40;
    options.observe_experts = [&](const LayerExperts& experts) {
      for (size_t i = 0; experts.layer == 0 && i < experts.chunks; ++i)
        inputs_.push_back(experts.routing(i).normed.reshape({-1, 16}).clone());
      return absl::OkStatus();
    };
    FRUGAL_RETURN_IF_ERROR(walk(*checkpoint_, windows_, options, solver));
    return solver.seen;
  }
  at::Tensor parameter(architecture::Role role, int64_t expert) const {
    return decoder_->parameters().at(
        architecture::tensor_name(decoder_->config(), role, 0, expert));
  }
  // What an expert's second stage would get of all tokens.
  at::Tensor neurons(int64_t expert) const {
    const at::Tensor x = tensor::concatenate(inputs_);
    return at::silu(at::linear(x, parameter(architecture::Role::kGate, expert))) *
           at::linear(x, parameter(architecture::Role::kUp, expert));
  }
  static double difference(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).abs().max() / b.abs().max()).item<double>();
  }

  test::TemporaryFolder folder_;
  std::optional<model::Decoder> decoder_;
  std::optional<format::Checkpoint> checkpoint_;
  text::Windows windows_ = toy_windows(10, 16);
  std::vector<at::Tensor> inputs_;
};

constexpr double kForwardTolerance = 1e-5;

TEST_F(BlendingWalk, ExpertsWithManyTokensKeepEveryBit) {
  save(toy_mixture({.experts = 3}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Seen plain, walk_with({}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Seen blended, walk_with({.expert_blend = 0.1}));
  ASSERT_EQ(plain.size(), 6u);
  for (const auto& [at, statistics] : plain) {
    ASSERT_GE(statistics.tokens, 4);  // twice 0.1 for each of 16 columns
    EXPECT_TRUE(at::equal(statistics.hessian, blended.at(at).hessian));
    EXPECT_EQ(blended.at(at).blend, 0);
  }
}

TEST_F(BlendingWalk, RareExpertsGetTheirShareOfAllTokens) {
  save(toy_mixture({.experts = 3}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Seen plain, walk_with({}));
  const double prior = 1000;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Seen blended, walk_with({.expert_blend = prior}));
  const at::Tensor inputs = second_moment(tensor::concatenate(inputs_));
  for (const auto& [at, statistics] : blended) {
    const auto [stage, expert] = at;
    const bool second = (stage - architecture::kAttentionStages) % 2 == 1;
    const InputStatistics& own = plain.at(at);
    const double share = blend_share(own.tokens, second ? 12 : 16, prior);
    EXPECT_EQ(statistics.blend, share);
    EXPECT_EQ(statistics.tokens, own.tokens);
    EXPECT_EQ(statistics.all_tokens, 160);
    const at::Tensor all = second ? second_moment(neurons(expert)) : inputs;
    EXPECT_LT(difference(statistics.hessian, (1 - share) * own.hessian + share * all),
              kForwardTolerance)
        << stage;
  }
}

// At a share of one it is the second moment of a dense layer.
TEST_F(BlendingWalk, AnExpertWithoutTokensIsSolvedOnAllOrStopsTheWalk) {
  model::Decoder decoder = toy_mixture({.per_token = 1});
  const std::string name =
      architecture::tensor_name(decoder.config(), architecture::Role::kRouter, 0);
  at::Tensor router = decoder.parameters().at(name).clone();
  router[3].copy_(router.narrow(0, 0, 3).mean(0));  // never the largest
  decoder.set_parameter(name, router);
  save(decoder);
  FRUGAL_EXPECT_ERROR(walk_with({.min_expert_tokens = 1, .expert_blend = 2}).status(),
                      absl::StatusCode::kFailedPrecondition,
                      "the router sent 0 of 160 calibration tokens to this expert");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Seen seen,
                              walk_with({.min_expert_tokens = 0, .expert_blend = 2}));
  const InputStatistics& first = seen.at({8, 3});
  EXPECT_EQ(first.tokens, 0);
  EXPECT_EQ(first.blend, 1);
  EXPECT_LT(difference(first.hessian, second_moment(tensor::concatenate(inputs_))),
            kForwardTolerance);
  EXPECT_LT(difference(seen.at({9, 3}).hessian, second_moment(neurons(3))), kForwardTolerance);
}

}  // namespace
}  // namespace frugal::layerwise
