#include "layerwise/walk/layer_store.h"

#include <fstream>

#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

StoredTensors two_tensors() {
  return {{"bytes", at::tensor({7, 8, 9}, at::kByte).view({3, 1})},
          {"floats", at::tensor({1.5f, -2.0f}, at::kFloat)}};
}

TEST(LayerStore, GivesBackWhatWasWritten) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto nothing, store.read(4));
  EXPECT_FALSE(nothing.has_value());
  FRUGAL_ASSERT_OK(store.write(4, two_tensors(), {{"error", 0.25}}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store.read(4));
  ASSERT_TRUE(layer.has_value());
  EXPECT_EQ(layer->record()["error"], 0.25);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto found, layer->bytes("bytes", format::DType::kU8, {3, 1}));
  EXPECT_EQ(static_cast<int>(found[2]), 9);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor floats, layer->tensor("floats", {2}));
  EXPECT_TRUE(at::equal(floats, at::tensor({1.5f, -2.0f}, at::kFloat)));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor bytes, layer->tensor("bytes", {3, 1}, at::kByte));
  EXPECT_TRUE(at::equal(bytes, two_tensors().at("bytes")));
  EXPECT_TRUE(layer->has("floats"));
  EXPECT_FALSE(layer->has("other"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto other, store.read(5));
  EXPECT_FALSE(other.has_value());
}

TEST(LayerStore, AnotherStampIsAbsent) {
  test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(LayerStore(folder.path(), "one text").write(0, two_tensors(), {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, LayerStore(folder.path(), "another text").read(0));
  EXPECT_FALSE(layer.has_value());
}

TEST(LayerStore, WrongShapesAndDamageAreErrors) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  FRUGAL_ASSERT_OK(store.write(0, two_tensors(), {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store.read(0));
  FRUGAL_EXPECT_ERROR(layer->bytes("bytes", format::DType::kU8, {4, 1}),
                      absl::StatusCode::kDataLoss, "bytes");
  FRUGAL_EXPECT_ERROR(layer->bytes("gone", format::DType::kU8, {3, 1}), absl::StatusCode::kDataLoss,
                      "gone");
  FRUGAL_EXPECT_ERROR(layer->tensor("floats", {2}, at::kLong), absl::StatusCode::kDataLoss,
                      "floats");
  std::ofstream(folder.path() / "layer-00001.safetensors") << "not a tensor file";
  EXPECT_FALSE(store.read(1).ok());
  FRUGAL_EXPECT_ERROR(store.require(2), absl::StatusCode::kInternal, "layer 2 was not stored");
}

// Slices and views are stored as what they show.
TEST(LayerStore, TensorsNeedNotBeContiguous) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  const at::Tensor whole = at::arange(12, at::kFloat).view({3, 4});
  FRUGAL_ASSERT_OK(store.write(0, {{"turned", whole.t()}, {"columns", whole.narrow(1, 1, 2)}}, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store.require(0));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor turned, layer.tensor("turned", {4, 3}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor columns, layer.tensor("columns", {3, 2}));
  EXPECT_TRUE(at::equal(turned, whole.t()));
  EXPECT_TRUE(at::equal(columns, whole.narrow(1, 1, 2)));
}

}  // namespace
}  // namespace frugal::layerwise
