#include "layerwise/transform/equalize.h"

#include <cmath>

#include "layerwise/rounding/gptq.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

struct Case {
  at::Tensor weights, inputs;
  InputStatistics statistics;
};

// A few input channels are much larger than the others, as in real models.
Case make_case(uint64_t seed, int64_t rows, int64_t columns) {
  Case c{
      random_matrix(seed, "weights", rows, columns), random_inputs(seed, 4 * columns, columns), {}};
  for (int64_t j = 3; j < columns; j += 17) c.inputs.select(1, j).mul_(20);
  c.statistics = gather_statistics({c.inputs}, Needs::kHessian, "test").value();
  return c;
}

std::shared_ptr<const grid::Grid> grid_named(const std::string& name, int64_t columns) {
  return grid::find_grid(name, columns).value();
}

at::Tensor ones(int64_t columns) { return at::ones({columns}, at::kDouble); }

// ‖(Q(W·diag(s))·diag(s)⁻¹ − W) Xᵀ‖² / tokens, straight from the inputs.
double brute_force_loss(const Case& c, const at::Tensor& scale,
                        const std::shared_ptr<const grid::Grid>& grid) {
  const at::Tensor scaled = (c.weights.to(at::kDouble) * scale).to(at::kFloat);
  const auto rounded =
      round_to_nearest(scaled, c.statistics.mean_square / scale.square(), grid, true).value();
  const at::Tensor error = decode(rounded).to(at::kDouble) / scale - scaled.to(at::kDouble) / scale;
  return at::mm(error, c.inputs.to(at::kDouble).t()).square().sum().item<double>() /
         static_cast<double>(c.inputs.size(0));
}

TEST(Equalize, TiedChannelsShareAValue) {
  // Two value heads of size 2, three query heads each: [2, 3, 2].
  const at::Tensor values = at::arange(12, at::kDouble);
  const Sharing sharing{.copies = 3, .size = 2};
  const at::Tensor mean = pool_shared(values, sharing, Pooling::kMean);
  EXPECT_TRUE(
      at::equal(mean, at::tensor({2., 3., 2., 3., 2., 3., 8., 9., 8., 9., 8., 9.}, at::kDouble)));
  const at::Tensor largest = pool_shared(values, sharing, Pooling::kLargest);
  EXPECT_TRUE(
      at::equal(source_values(largest, sharing), at::tensor({4., 5., 10., 11.}, at::kDouble)));
  EXPECT_THROW(pool_shared(values, {.copies = 5, .size = 2}, Pooling::kMean), c10::Error);
}

TEST(Equalize, RatioZeroIsTheIdentityAndScalesAreBalanced) {
  const Case c = make_case(1, 8, 48);
  const at::Tensor none = awq_scale(c.weights, c.statistics.mean_absolute, {}, 16, {});
  EXPECT_TRUE(at::equal(none, ones(48)));
  for (const bool duo : {false, true}) {
    const at::Tensor scale =
        awq_scale(c.weights, c.statistics.mean_absolute, {.ratio = 0.6, .duo = duo}, 16, {});
    EXPECT_NEAR((scale.max() * scale.min()).item<double>(), 1.0, 1e-6);  // scales are fp32
    EXPECT_TRUE(at::equal(scale, scale.to(at::kFloat).to(at::kDouble)));
  }
  const at::Tensor tied = awq_scale(c.weights, c.statistics.mean_absolute, {.ratio = 0.6}, 16,
                                    {.copies = 3, .size = 8});
  EXPECT_TRUE(at::equal(tied.narrow(0, 0, 8), tied.narrow(0, 16, 8)));
}

TEST(Equalize, SilentChannelsGetAFiniteScale) {
  Case c = make_case(2, 4, 32);
  c.inputs.select(1, 5).zero_();
  c.statistics = gather_statistics({c.inputs}, Needs::kHessian, "test").value();
  const auto grid = grid_named("int4:g16", 32);
  for (const bool duo : {false, true}) {
    const ScaleChoice choice = choose_scale(c.weights, c.statistics, grid, duo, {}).value();
    EXPECT_TRUE(at::isfinite(choice.scale).all().item<bool>());
    EXPECT_GT(choice.scale.min().item<double>(), 0);
  }
  const at::Tensor smooth = smoothquant_scale(c.weights, c.statistics.maximum_absolute, 0.5, {});
  EXPECT_GT(smooth.min().item<double>(), 0);
}

TEST(Equalize, LossIsThatOfTheOutputs) {
  const Case c = make_case(3, 24, 64);
  for (const char* name : {"q4_0", "int4:g16", "int8:row"}) {
    const auto grid = grid_named(name, 64);
    for (const double ratio : {0.0, 0.5, 0.95}) {
      const at::Tensor scale =
          awq_scale(c.weights, c.statistics.mean_absolute, {.ratio = ratio}, 16, {});
      const double expected = brute_force_loss(c, scale, grid);
      // Products in fp32 over 64 columns, of both signs: 64 roundings of 6e-8 of a sum that is at
      // worst some hundred times its result.
      EXPECT_NEAR(rounding_loss(c.weights, scale, c.statistics, grid).value() / expected, 1, 5e-4);
    }
  }
}

TEST(Equalize, TheChoiceIsTheBestOfAll) {
  for (const char* name : {"q4_0", "int4:g16:asym"}) {
    const Case c = make_case(4, 24, 64);
    const auto grid = grid_named(name, 64);
    const ScaleChoice plain = choose_scale(c.weights, c.statistics, grid, false, {}).value();
    EXPECT_LT(plain.loss, 0.9 * plain.loss_plain) << name;  // outliers are there to be helped
    EXPECT_FALSE(plain.how.duo);
    EXPECT_GT(plain.how.ratio, 0);
    double best = brute_force_loss(c, ones(64), grid);
    for (int i = 0; i < 20; ++i) {
      const at::Tensor scale =
          awq_scale(c.weights, c.statistics.mean_absolute, {.ratio = 0.05 * i}, 16, {});
      best = std::min(best, brute_force_loss(c, scale, grid));
    }
    EXPECT_NEAR(plain.loss / best, 1, 5e-4) << name;
    const ScaleChoice both = choose_scale(c.weights, c.statistics, grid, true, {}).value();
    EXPECT_LE(both.loss, plain.loss) << name;
  }
}

// Also on inputs without outliers, and what it says is what the scale gives.
TEST(Equalize, GainsOverRoundingOnEverySeed) {
  const auto grid = grid_named("q4_0", 32);
  double gained = 0;
  for (uint64_t seed = 10; seed < 20; ++seed) {
    Case c{random_matrix(seed, "weights", 12, 32), random_inputs(seed, 200, 32), {}};
    c.statistics = gather_statistics({c.inputs}, Needs::kHessian, "test").value();
    const ScaleChoice choice = choose_scale(c.weights, c.statistics, grid, true, {}).value();
    EXPECT_LT(choice.loss, choice.loss_plain) << seed;
    EXPECT_NEAR(choice.loss / brute_force_loss(c, choice.scale, grid), 1, 5e-4) << seed;
    EXPECT_NEAR(choice.loss_plain / brute_force_loss(c, ones(32), grid), 1, 5e-4) << seed;
    gained += 1 - choice.loss / choice.loss_plain;
  }
  EXPECT_GT(gained / 10, 0.2);
}

TEST(Equalize, SmoothQuantBalancesInputsAndWeights) {
  const Case c = make_case(5, 24, 48);
  const at::Tensor scale = smoothquant_scale(c.weights, c.statistics.maximum_absolute, 0.5, {});
  // With α = .5 the largest input and the largest weight of a channel become equal.
  const at::Tensor x = c.statistics.maximum_absolute / scale;
  const at::Tensor w = c.weights.to(at::kDouble).abs().amax(0) * scale;
  EXPECT_LT((x / w - 1).abs().max().item<double>(), 1e-6);
  const at::Tensor all = smoothquant_scale(c.weights, c.statistics.maximum_absolute, 1.0, {});
  EXPECT_LT((all / c.statistics.maximum_absolute - 1).abs().max().item<double>(), 1e-6);
}

TEST(Equalize, ClippingIsTheBestPerGroup) {
  const Case c = make_case(6, 6, 32);
  const auto grid = grid_named("int4:g16", 32);
  const at::Tensor scale = ones(32);
  const ClipChoice choice = choose_clip(c.weights, scale, c.statistics, grid).value();
  EXPECT_LT(choice.loss, choice.loss_plain);
  double sum = 0;
  for (int64_t r = 0; r < 6; ++r) {
    for (int64_t g = 0; g < 2; ++g) {  // blocks of this grid are groups: each stands alone
      const at::Tensor w = c.weights.narrow(0, r, 1).narrow(1, 16 * g, 16).contiguous();
      const at::Tensor h = c.statistics.hessian.narrow(0, 16 * g, 16).narrow(1, 16 * g, 16);
      const at::Tensor importance = c.statistics.mean_square.narrow(0, 16 * g, 16);
      double best = 1e300;
      for (int i = 0; i < 10; ++i) {
        const double bound = w.abs().max().item<double>() * (1 - 0.05 * i);
        const at::Tensor e =
            (decode(round_to_nearest(at::clamp(w, -bound, bound), importance, grid, true).value()) -
             w)
                .to(at::kDouble);
        best = std::min(best, at::mm(at::mm(e, h), e.t()).item<double>());
      }
      sum += best;
    }
  }
  EXPECT_NEAR(choice.loss / sum, 1, 1e-5);
}

TEST(Equalize, ClipKeepsWhatIsInside) {
  const at::Tensor w = at::tensor({1.f, -3.f, 0.5f, 2.f}).view({1, 4});
  const at::Tensor bounds = at::tensor({2.f, 1.f}).view({1, 2});
  EXPECT_TRUE(at::equal(clip(w, bounds), at::tensor({1.f, -2.f, 0.5f, 1.f}).view({1, 4})));
  EXPECT_THROW(clip(w, at::ones({2, 2})), c10::Error);
}

TEST(Equalize, SameBitsAtAnyNumberOfThreads) {
  const Case c = make_case(7, 96, 128);
  const auto grid = grid_named("q4_0", 128);
  std::vector<ScaleChoice> choices;
  std::vector<ClipChoice> clips;
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    choices.push_back(choose_scale(c.weights, c.statistics, grid, true, {}).value());
    clips.push_back(choose_clip(c.weights, choices.back().scale, c.statistics, grid).value());
    EXPECT_EQ(choices.back().loss, choices.front().loss);
    EXPECT_EQ(clips.back().loss, clips.front().loss);
    EXPECT_TRUE(at::equal(choices.back().scale, choices.front().scale));
    EXPECT_TRUE(at::equal(clips.back().bounds, clips.front().bounds));
  }
}

}  // namespace
}  // namespace frugal::layerwise
