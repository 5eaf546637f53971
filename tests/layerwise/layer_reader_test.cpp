#include "layerwise/walk/layer_reader.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

TEST(LayerReader, OpensTheFileOfALayerOnce) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  for (const int64_t layer : {0, 1}) {
    FRUGAL_ASSERT_OK(
        store.write(layer, {{"number", at::tensor({layer}, at::kLong)}}, {{"layer", layer}}));
  }
  LayerReader reader(store);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerStore::Layer* first, reader.require(0));
  EXPECT_EQ(first->record()["layer"], 0);
  // What is held needs no file; what was held before does.
  std::filesystem::remove(folder.path() / "layer-00000.safetensors");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerStore::Layer* again, reader.require(0));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor number, again->tensor("number", {1}, at::kLong));
  EXPECT_EQ(number.item<int64_t>(), 0);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const LayerStore::Layer* second, reader.require(1));
  EXPECT_EQ(second->record()["layer"], 1);
  FRUGAL_EXPECT_ERROR(reader.require(0), absl::StatusCode::kInternal, "layer 0 was not stored");
  FRUGAL_ASSERT_OK(reader.require(1));
}

}  // namespace
}  // namespace frugal::layerwise
