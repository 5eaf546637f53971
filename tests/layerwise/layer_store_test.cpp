#include "layerwise/walk/layer_store.h"

#include <fstream>

#include "support/shared_data.h"

namespace frugal::layerwise {
namespace {

std::vector<LayerStore::Tensor> two_tensors(const std::vector<float>& floats,
                                            const std::vector<uint8_t>& bytes) {
  return {{"bytes", format::DType::kU8, {3, 1}, std::as_bytes(std::span(bytes))},
          {"floats", format::DType::kF32, {2}, std::as_bytes(std::span(floats))}};
}

TEST(LayerStore, GivesBackWhatWasWritten) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  const std::vector<float> floats{1.5f, -2.0f};
  const std::vector<uint8_t> bytes{7, 8, 9};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto nothing, store.read(4));
  EXPECT_FALSE(nothing.has_value());
  FRUGAL_ASSERT_OK(store.write(4, two_tensors(floats, bytes), {{"error", 0.25}}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store.read(4));
  ASSERT_TRUE(layer.has_value());
  EXPECT_EQ(layer->record()["error"], 0.25);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto found, layer->bytes("bytes", format::DType::kU8, {3, 1}));
  EXPECT_EQ(static_cast<int>(found[2]), 9);
  EXPECT_TRUE(layer->has("floats"));
  EXPECT_FALSE(layer->has("other"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto other, store.read(5));
  EXPECT_FALSE(other.has_value());
}

TEST(LayerStore, AnotherStampIsAbsent) {
  test::TemporaryFolder folder;
  const std::vector<float> floats{1, 2};
  const std::vector<uint8_t> bytes{1, 2, 3};
  FRUGAL_ASSERT_OK(LayerStore(folder.path(), "one text").write(0, two_tensors(floats, bytes), {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, LayerStore(folder.path(), "another text").read(0));
  EXPECT_FALSE(layer.has_value());
}

TEST(LayerStore, WrongShapesAndDamageAreErrors) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  const std::vector<float> floats{1, 2};
  const std::vector<uint8_t> bytes{1, 2, 3};
  FRUGAL_ASSERT_OK(store.write(0, two_tensors(floats, bytes), {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store.read(0));
  FRUGAL_EXPECT_ERROR(layer->bytes("bytes", format::DType::kU8, {4, 1}),
                      absl::StatusCode::kDataLoss, "bytes");
  FRUGAL_EXPECT_ERROR(layer->bytes("gone", format::DType::kU8, {3, 1}), absl::StatusCode::kDataLoss,
                      "gone");
  std::ofstream(folder.path() / "layer-00001.safetensors") << "not a tensor file";
  EXPECT_FALSE(store.read(1).ok());
}

}  // namespace
}  // namespace frugal::layerwise
