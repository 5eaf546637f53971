#include "layerwise/pruning/depth.h"

#include <cmath>

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

TEST(Depth, InfluenceIsOneMinusTheMeanCosine) {
  std::vector<at::Tensor> before, after;
  double sum = 0;
  for (const uint64_t seed : {1, 2, 3}) {
    const at::Tensor x = random_matrix(seed, "x", 10, 16), y = random_matrix(seed, "y", 10, 16);
    before.push_back(x.view({2, 5, 16}));
    after.push_back((x + y).view({2, 5, 16}));
    for (int64_t t = 0; t < 10; ++t) {
      double xy = 0, xx = 0, yy = 0;
      for (int64_t i = 0; i < 16; ++i) {
        const double a = x[t][i].item<double>(), b = (x + y)[t][i].item<double>();
        xy += a * b, xx += a * a, yy += b * b;
      }
      sum += xy / std::sqrt(xx * yy);
    }
  }
  EXPECT_NEAR(block_influence(before, after), 1 - sum / 30, 1e-12);
  EXPECT_NEAR(block_influence(before, before), 0, 1e-12);
  std::vector<at::Tensor> longer, zeros;
  for (const at::Tensor& x : before) {
    longer.push_back(3 * x);
    zeros.push_back(0 * x);
  }
  EXPECT_NEAR(block_influence(before, longer), 0, 1e-12);
  EXPECT_EQ(block_influence(before, zeros), 1);
}

TEST(Depth, DropsTheLeastInfluentialAmongTheUnprotected) {
  const std::vector<double> influence{0.0, 0.5, 0.1, 0.3, 0.1, 0.0};
  const auto kept = [&](DepthOptions options) {
    return layers_to_keep(influence, options).value();
  };
  EXPECT_EQ(kept({.drop = 0}), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(kept({.drop = 1}), (std::vector<int64_t>{0, 1, 2, 3, 5}));
  EXPECT_EQ(kept({.drop = 3}), (std::vector<int64_t>{0, 1, 5}));
  EXPECT_EQ(kept({.drop = 2, .protect_first = 0, .protect_last = 0}),
            (std::vector<int64_t>{1, 2, 3, 4}));
  FRUGAL_EXPECT_ERROR(layers_to_keep(influence, {.drop = 5}).status(),
                      absl::StatusCode::kInvalidArgument, "cannot drop 5 of 6");
  EXPECT_FALSE(layers_to_keep({1.0}, {.drop = 1}).ok());
}

}  // namespace
}  // namespace frugal::layerwise
