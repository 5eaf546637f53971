#include "format/metadata.h"

#include <gtest/gtest.h>

#include "format/tiny_model.h"

namespace frugal::format {
namespace {

TEST(Metadata, SaysGridsTypesAndSizes) {
  const frugal::test::TemporaryFolder folder;
  std::filesystem::create_directories(folder.path() / "tiny");
  const auto config = test::tiny_config();
  auto tensors = test::declarations(config, DType::kBF16);
  const auto on_grid = [](const CheckpointWriter::Tensor& tensor) {
    return tensor.name.ends_with("up_proj.weight");
  };
  for (CheckpointWriter::Tensor& tensor : tensors) {
    if (on_grid(tensor)) {
      tensor.grid = "int8:row";
      tensor.activations = Activations::kInt8;
    } else if (tensor.shape.size() == 1) {
      tensor.dtype = DType::kF32;
    }
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                              CheckpointWriter::create(folder.path() / "tiny", config, tensors));
  for (const CheckpointWriter::Tensor& tensor : tensors) {
    const auto values = test::random_values(tensor.name, test::element_count(tensor.shape));
    if (!on_grid(tensor)) {
      FRUGAL_ASSERT_OK(writer.write_values(tensor.name, values));
      continue;
    }
    const auto grid = grid::find_grid("int8:row", tensor.shape[1]).value();
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto matrix,
        grid::round_to_nearest(grid, values.data(), tensor.shape[0], tensor.shape[1], {}, false));
    FRUGAL_ASSERT_OK(writer.write_codes(tensor.name, matrix));
  }
  FRUGAL_ASSERT_OK(writer.finish());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint checkpoint,
                              Checkpoint::open(folder.path() / "tiny"));
  const ModelInfo info = metadata_of(checkpoint);
  EXPECT_EQ(info.name, "tiny");
  EXPECT_EQ(info.dtype, "BF16");  // of most bytes
  EXPECT_EQ(info.grids.size(), 2u);
  EXPECT_EQ(info.grids.begin()->second, "int8:row");
  EXPECT_EQ(info.activations.size(), 2u);
  EXPECT_EQ(info.size_bytes, checkpoint.weight_bytes());
  EXPECT_EQ(info.config.layer_count(), 2);
}

}  // namespace
}  // namespace frugal::format
