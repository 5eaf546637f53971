#include "format/slices.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "format/tiny_model.h"

namespace frugal::format {
namespace {

using base::Json;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// H 4, K 2, D 8 of C 32: q 32 rows, k and v 16; gate and up 64.
architecture::ModelConfig tiny_phi3() {
  Json json = test::tiny_config_json();
  json["architectures"] = {"Phi3ForCausalLM"};
  json["model_type"] = "phi3";
  return architecture::parse_model_config(json, "tiny").value();
}

std::string attention(const char* name) {
  return base::str_cat("model.layers.1.self_attn.", name, "_proj.weight");
}

TEST(Slices, AreRowsOfTheStoredTensor) {
  const TensorInfo stored{"qkv", DType::kBF16, {64, 32}, 100, 64 * 32 * 2};
  const architecture::Tensor key{
      .name = "k", .shape = {16, 32}, .slice = architecture::Slice{"qkv", {64, 32}, 32}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TensorInfo part, cut(stored, key));
  EXPECT_EQ(part.name, "k");
  EXPECT_EQ(part.shape, key.shape);
  EXPECT_EQ(part.offset, 100 + 32 * 32 * 2);
  EXPECT_EQ(part.size_bytes, 16 * 32 * 2);
  FRUGAL_EXPECT_ERROR(cut({"qkv", DType::kBF16, {64, 16}, 0, 64 * 16 * 2}, key), kInvalid,
                      "its shape is [64, 16], the config demands [64, 32]");
}

TEST(Slices, OfAStackCountRowsThroughAllOfIt) {
  const TensorInfo stored{"experts", DType::kF32, {3, 5, 4}, 0, 3 * 5 * 4 * 4};
  const architecture::Tensor second{
      .name = "expert 1", .shape = {5, 4}, .slice = architecture::Slice{"experts", {3, 5, 4}, 5}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TensorInfo part, cut(stored, second));
  EXPECT_EQ(part.offset, 5 * 4 * 4);
  EXPECT_EQ(part.size_bytes, 5 * 4 * 4);
}

TEST(Slices, PartsOfTwoTypesAreWidenedAndOthersLeft) {
  std::vector<CheckpointWriter::Tensor> declared;
  for (const architecture::Tensor& tensor : architecture::tensors(tiny_phi3()))
    declared.push_back({tensor.name, DType::kBF16, tensor.shape});
  const auto at = [&](std::string_view name) -> CheckpointWriter::Tensor& {
    return *std::find_if(declared.begin(), declared.end(),
                         [&](const auto& tensor) { return tensor.name == name; });
  };
  at(attention("v")).dtype = DType::kF16;
  at("model.layers.0.mlp.down_proj.weight").dtype = DType::kF32;  // nothing lies beside it
  at("model.layers.0.self_attn.k_proj.weight").grid = "q8_0";     // lies apart, whatever its type
  at("model.layers.0.self_attn.k_proj.weight").dtype = DType::kF32;
  std::vector<CheckpointWriter::Tensor> expected = declared;
  widen_fused(tiny_phi3(), declared);
  for (const CheckpointWriter::Tensor& tensor : expected) {
    const bool widened = tensor.name == attention("q") || tensor.name == attention("k") ||
                         tensor.name == attention("v");
    EXPECT_EQ(at(tensor.name).dtype, widened ? DType::kF32 : tensor.dtype) << tensor.name;
  }
}

class FusedCheckpoint : public testing::Test {
 protected:
  const std::filesystem::path& folder() const { return folder_.path(); }

  // Writes the declared tensors with random_values() of their names, rounded where on a grid.
  absl::Status write(const std::vector<CheckpointWriter::Tensor>& tensors) const {
    FRUGAL_ASSIGN_OR_RETURN(auto writer, CheckpointWriter::create(folder(), tiny_phi3(), tensors));
    for (const auto& tensor : tensors) {
      const auto values = test::random_values(tensor.name, test::element_count(tensor.shape));
      if (!tensor.grid) {
        FRUGAL_RETURN_IF_ERROR(writer.write_values(tensor.name, values));
        continue;
      }
      FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(*tensor.grid, tensor.shape[1]));
      FRUGAL_ASSIGN_OR_RETURN(
          const auto matrix,
          grid::round_to_nearest(grid, values.data(), tensor.shape[0], tensor.shape[1], {}, false));
      FRUGAL_RETURN_IF_ERROR(writer.write_codes(tensor.name, matrix));
    }
    return writer.finish();
  }
  // Stores other tensors under other names.
  void store(const std::map<std::string, std::vector<int64_t>>& shapes) const {
    std::vector<SafetensorsWriter::Declaration> declarations;
    for (const auto& [name, shape] : shapes) declarations.push_back({name, DType::kF32, shape});
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        auto writer, SafetensorsWriter::create(folder() / "model.safetensors", declarations, {}));
    const std::vector<TensorInfo> infos = writer.infos();
    for (const TensorInfo& info : infos) {
      const auto values = test::random_values(info.name, info.element_count());
      FRUGAL_ASSERT_OK(writer.write(info.name, std::as_bytes(std::span(values))));
    }
    FRUGAL_ASSERT_OK(writer.commit());
  }
  std::map<std::string, std::vector<int64_t>> stored_shapes() const {
    std::map<std::string, std::vector<int64_t>> shapes;
    const auto file = SafetensorsFile::open(folder() / "model.safetensors").value();
    for (const auto& [name, info] : file.tensors()) shapes[name] = info.shape;
    return shapes;
  }

 private:
  frugal::test::TemporaryFolder folder_;
};

TEST_F(FusedCheckpoint, IsWrittenAsTheFamilyHasItAndReadByParts) {
  const auto tensors = test::declarations(tiny_phi3(), DType::kF32);
  FRUGAL_ASSERT_OK(write(tensors));
  const auto shapes = stored_shapes();
  EXPECT_EQ(shapes.at(attention("qkv")), (std::vector<int64_t>{64, 32}));
  EXPECT_EQ(shapes.at("model.layers.0.mlp.gate_up_proj.weight"), (std::vector<int64_t>{128, 32}));
  EXPECT_FALSE(shapes.contains(attention("q")));
  EXPECT_EQ(shapes.size(), tensors.size() - 2 * 3);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder()));
  EXPECT_EQ(checkpoint.tensor_names().size(), tensors.size());
  EXPECT_FALSE(checkpoint.has(attention("qkv")));
  for (const auto& tensor : tensors) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto values, checkpoint.values(tensor.name));
    EXPECT_EQ(values, test::random_values(tensor.name, test::element_count(tensor.shape)));
    EXPECT_EQ(checkpoint.info(tensor.name)->shape, tensor.shape);
  }
  EXPECT_EQ(checkpoint.weight_bytes(), checkpoint.config().parameter_count() * 4);
}

// Whatever the order of the parts, and with other tensors between them.
TEST_F(FusedCheckpoint, PartsComeInAnyOrder) {
  auto tensors = test::declarations(tiny_phi3(), DType::kBF16);
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  FRUGAL_ASSERT_OK(write(tensors));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto sorted, Checkpoint::open(folder()));
  const frugal::test::TemporaryFolder other;
  FRUGAL_ASSERT_OK(test::write_model(other.path(), tiny_phi3(), DType::kBF16));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto ordered, Checkpoint::open(other.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string found, sorted.content_hash());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const std::string expected, ordered.content_hash());
  EXPECT_EQ(found, expected);
}

TEST_F(FusedCheckpoint, CodesLieByThemselves) {
  auto tensors = test::declarations(tiny_phi3(), DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.name == attention("k")) tensor.grid = "q8_0";
  }
  FRUGAL_ASSERT_OK(write(tensors));
  const auto shapes = stored_shapes();
  EXPECT_FALSE(shapes.contains(attention("qkv")));
  EXPECT_EQ(shapes.at(attention("q")), (std::vector<int64_t>{32, 32}));
  EXPECT_TRUE(shapes.contains("model.layers.0.self_attn.qkv_proj.weight"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto codes, checkpoint.codes(attention("k")));
  EXPECT_EQ(codes.rows, 16);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto values, checkpoint.values(attention("v")));
  EXPECT_EQ(values, test::random_values(attention("v"), 16 * 32));
}

TEST_F(FusedCheckpoint, WhatDoesNotFitIsNamed) {
  auto tensors = test::declarations(tiny_phi3(), DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.name == attention("v")) tensor.dtype = DType::kBF16;
  }
  FRUGAL_EXPECT_ERROR(write(tensors), kInvalid, "are stored as one");
  FRUGAL_ASSERT_OK(write(test::declarations(tiny_phi3(), DType::kF32)));
  const auto good = stored_shapes();
  auto shapes = good;
  shapes[attention("qkv")] = {96, 32};  // as many key and value heads as query heads
  store(shapes);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), kInvalid,
                      base::str_cat("tensor '", attention("qkv"),
                                    "': its shape is [96, 32], the config demands [64, 32]"));
  shapes.erase(attention("qkv"));
  store(shapes);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kDataLoss,
                      base::str_cat("tensor '", attention("qkv"), "' [64, 32] is missing"));
  shapes = good;
  shapes[attention("v")] = {16, 32};
  store(shapes);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), kInvalid, "are stored; remove the one");
}

}  // namespace
}  // namespace frugal::format
