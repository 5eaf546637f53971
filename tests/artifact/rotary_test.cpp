#include "artifact/onnx/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/shared_data.h"
#include "support/toy_model.h"

namespace frugal::artifact {
namespace {

using architecture::Rope;
using architecture::RopeScaling;

TEST(Rotations, DifferentOnesComeInTheOrderOfTheirLayers) {
  architecture::ModelConfig config = test::toy_config({.layers = 4});
  EXPECT_EQ(rotations(config), (std::vector<Rotation>{{Rope{}, 8}}));
  config.layers[0].attention.rope.theta = 5e5;
  config.layers[2].attention.head_size = 16;
  const Rotation far = {Rope{.theta = 5e5, .scaling = {}}, 8}, near = {Rope{}, 8},
                 wide = {Rope{}, 16};
  EXPECT_EQ(rotations(config), (std::vector<Rotation>{far, near, wide}));
  EXPECT_EQ(rotation_of(config, 0), far);
  EXPECT_EQ(rotation_of(config, 2), wide);
  EXPECT_EQ(rotation_of(config, 3), near);
  config.layers[3].attention.rope.scaling = RopeScaling{};
  EXPECT_EQ(rotations(config).size(), 4u);
}

TEST(Rotations, FrequenciesArePowersOfTheta) {
  const std::vector<float> found = rotary_frequencies({.theta = 1e4, .scaling = {}}, 8);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0], 1);
  for (int i = 1; i < 4; ++i) {
    const double exact = std::pow(1e4, -i / 4.0);
    // theta, a power of it and its inverse in fp32, the exponent exact: four half units.
    EXPECT_NEAR(found[i], exact, 4 * 0x1p-24 * exact) << i;
  }
  const std::vector<float> slowed = rotary_frequencies(
      {.theta = 1e4, .scaling = RopeScaling{.kind = RopeScaling::Kind::kLinear, .factor = 4}}, 8);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(slowed[i], found[i] / 4) << i;  // a power of two: exact
}

}  // namespace
}  // namespace frugal::artifact
