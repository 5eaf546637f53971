#include "artifact/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "grid_checkpoint.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

using architecture::Role;
using architecture::Tensor;
using format::Checkpoint;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::IsEmpty;

const TensorDifference& find(const Comparison& comparison, const std::string& name) {
  for (const TensorDifference& tensor : comparison.tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::out_of_range(name);
}

TEST(Compare, AModelWithItself) {
  const TemporaryFolder folder;
  const Checkpoint toy = test::toy_checkpoint(folder.path() / "toy", {.layers = 1, .width = 32});
  int64_t heard = 0;
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Comparison found, compare(toy, toy, [&] { ++heard; }));
  EXPECT_EQ(found.equal(), static_cast<int64_t>(toy.tensor_names().size()));
  EXPECT_EQ(heard, found.equal());
  EXPECT_THAT(found.only_a, IsEmpty());
  EXPECT_THAT(found.only_b, IsEmpty());
}

// The relative difference against fp64 sums over the decoded values.
TEST(Compare, CodesAgainstTheirOriginal) {
  const TemporaryFolder folder;
  const Checkpoint toy = test::toy_checkpoint(folder.path() / "toy", {.layers = 1, .width = 32});
  const std::string up = "model.layers.0.mlp.up_proj.weight";
  const Checkpoint rounded = on_grids(
      toy, folder.path() / "rounded", format::DType::kF32,
      [](const Tensor& tensor) { return tensor.role == Role::kUp ? OnGrid{"q4_0"} : OnGrid{}; });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Comparison found, compare(toy, rounded, {}));
  const TensorDifference& tensor = find(found, up);
  EXPECT_EQ(tensor.type_a, "F32");
  EXPECT_EQ(tensor.type_b, "q4_0");
  EXPECT_EQ(tensor.bytes_a, 64 * 32 * 4);
  EXPECT_EQ(tensor.bytes_b, 64 * 18);
  const std::vector<float> a = toy.values(up).value(), b = rounded.values(up).value();
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    size += std::pow(double{a[i]}, 2);
  }
  EXPECT_NEAR(tensor.relative, std::sqrt(difference / size), 1e-12);
  EXPECT_GT(tensor.relative, 0.01);
  EXPECT_EQ(found.equal(), static_cast<int64_t>(found.tensors.size()) - 1);
}

TEST(Compare, TensorsOfOneAloneAndOfOtherShapes) {
  const TemporaryFolder folder;
  const Checkpoint tied =
      test::toy_checkpoint(folder.path() / "tied", {.layers = 1, .width = 32, .tied = true});
  const Checkpoint wide =
      test::toy_checkpoint(folder.path() / "wide", {.layers = 1, .width = 32, .neurons = 96});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Comparison found, compare(tied, wide, {}));
  EXPECT_THAT(found.only_b, ElementsAre("lm_head.weight"));
  EXPECT_THAT(found.only_a, IsEmpty());
  const TensorDifference& up = find(found, "model.layers.0.mlp.up_proj.weight");
  EXPECT_TRUE(std::isnan(up.relative));
  EXPECT_THAT(up.shape_a, ElementsAre(64, 32));
  EXPECT_THAT(up.shape_b, ElementsAre(96, 32));
}

}  // namespace
}  // namespace frugal::artifact
