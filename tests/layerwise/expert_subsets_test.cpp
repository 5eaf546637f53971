#include "layerwise/pruning/expert_subsets.h"

#include <gmock/gmock.h>

#include "model/routing.h"
#include "support/random_tensors.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;
using testing::ElementsAre;

TEST(Subsets, AreCountedAndListed) {
  EXPECT_EQ(subset_count(8, 4), 70);
  EXPECT_EQ(subset_count(8, 8), 1);
  EXPECT_EQ(subset_count(8, 1), 8);
  EXPECT_EQ(subset_count(16, 8), 12'870);
  EXPECT_GT(subset_count(128, 64), kMostSubsets);  // more than an int64 holds
  EXPECT_THAT(subsets(4, 2), ElementsAre(ElementsAre(0, 1), ElementsAre(0, 2), ElementsAre(0, 3),
                                         ElementsAre(1, 2), ElementsAre(1, 3), ElementsAre(2, 3)));
  for (const auto& [count, keep] : {std::pair<int64_t, int64_t>{7, 3}, {5, 5}, {6, 1}})
    EXPECT_EQ(static_cast<int64_t>(subsets(count, keep).size()), subset_count(count, keep));
}

// The layer's output with the experts `kept` alone, as a model without the others has it.
at::Tensor layer_output(const at::Tensor& normed, const at::Tensor& router,
                        const architecture::Experts& experts, const std::vector<int64_t>& kept,
                        const at::Tensor& outputs) {
  architecture::Experts left = experts;
  left.count = static_cast<int64_t>(kept.size());
  left.per_token = std::min(experts.per_token, left.count);
  model::Routing routing =
      model::route(normed, router.index_select(0, at::tensor(kept, at::kLong)), left);
  for (size_t e = 0; e < kept.size(); ++e) {
    const at::Tensor own = routing.input_of(static_cast<int64_t>(e)).tokens;
    routing.outputs.push_back(outputs[kept[e]].index_select(0, own));
  }
  return routing.mixed();
}

TEST(SubsetErrors, AreThoseOfTheModelsWithoutTheOthers) {
  constexpr int64_t kTokens = 300, kWidth = 6, kExperts = 5;
  const at::Tensor normed = random_matrix(1, "x", kTokens, kWidth).unsqueeze(0);
  const at::Tensor router = random_matrix(2, "router", kExperts, kWidth);
  const at::Tensor outputs =
      random_matrix(3, "outputs", kExperts * kTokens, kWidth).view({kExperts, kTokens, kWidth});
  for (const bool normalized : {true, false}) {
    for (const int64_t keep : {1, 2, 3}) {
      const architecture::Experts experts{kExperts, 2, normalized};
      SubsetErrors errors(experts, keep);
      const at::Tensor probabilities = model::route(normed, router, experts).probabilities;
      errors.add(probabilities.narrow(0, 0, 100), outputs.narrow(1, 0, 100));
      errors.add(probabilities.narrow(0, 100, 200), outputs.narrow(1, 100, 200));
      const at::Tensor whole = layer_output(normed, router, experts, {0, 1, 2, 3, 4}, outputs);
      const std::vector<double> found = errors.relative();
      double least = std::numeric_limits<double>::infinity();
      std::vector<int64_t> best;
      for (size_t i = 0; i < errors.sets().size(); ++i) {
        const at::Tensor off =
            layer_output(normed, router, experts, errors.sets()[i], outputs) - whole;
        const double expected = off.to(at::kDouble).square().sum().item<double>() /
                                whole.to(at::kDouble).square().sum().item<double>();
        EXPECT_NEAR(found[i], expected, 1e-5 * expected) << keep << " " << i;
        if (expected < least) best = errors.sets()[i];
        least = std::min(least, expected);
      }
      EXPECT_EQ(errors.best(), best);
    }
  }
}

TEST(SubsetErrors, AllExpertsHaveNoError) {
  const architecture::Experts experts{3, 2, true};
  SubsetErrors errors(experts, 3);
  errors.add(random_matrix(1, "p", 20, 3).softmax(-1),
             random_matrix(2, "o", 60, 4).view({3, 20, 4}));
  EXPECT_THAT(errors.relative(), ElementsAre(0.0));
}

}  // namespace
}  // namespace frugal::layerwise
