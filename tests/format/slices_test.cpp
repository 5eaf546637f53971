#include "format/slices.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <span>

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

// Conv1D: [in, out], the parts' rows side by side.
TEST(Slices, OfATransposedTensorAreItsColumns) {
  const TensorInfo stored{"c_attn", DType::kBF16, {32, 96}, 100, 32 * 96 * 2};
  const architecture::Tensor key{
      .name = "k", .shape = {32, 32}, .slice = architecture::Slice{"c_attn", {32, 96}, 32, true}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TensorInfo part, cut(stored, key));
  EXPECT_EQ(part.shape, key.shape);
  EXPECT_EQ(part.offset, 100 + 32 * 2);
  FRUGAL_EXPECT_ERROR(cut({"c_attn", DType::kU8, {32, 96}, 100, 32 * 96}, key),
                      absl::StatusCode::kUnimplemented, "its type is U8, expected F32");
  const TensorInfo vector{"bias", DType::kF32, {96}, 8, 96 * 4};
  const architecture::Tensor bias{
      .name = "b", .shape = {32}, .slice = architecture::Slice{"bias", {96}, 64}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TensorInfo elements, cut(vector, bias));
  EXPECT_EQ(elements.offset, 8 + 64 * 4);
  EXPECT_EQ(elements.size_bytes, 32 * 4);
}

template <typename Element>
void expect_transposed(int64_t rows, int64_t columns, int64_t gap) {
  std::vector<Element> from(static_cast<size_t>(rows * (columns + gap)));
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<Element>(i + 1);
  std::vector<Element> to(static_cast<size_t>(columns * rows), 0);
  copy_transposed({std::as_bytes(std::span(from)).data(), columns + gap}, rows, columns,
                  sizeof(Element), {std::as_writable_bytes(std::span(to)).data(), rows});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c)
      ASSERT_EQ(to[static_cast<size_t>(c * rows + r)],
                from[static_cast<size_t>(r * (columns + gap) + c)]);
  }
}

TEST(Slices, AreTransposedInTilesOfEveryShape) {
  for (const int64_t rows : {1, 31, 70}) {
    for (const int64_t columns : {1, 32, 65}) {
      expect_transposed<uint16_t>(rows, columns, 3);
      expect_transposed<uint32_t>(rows, columns, 0);
    }
  }
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

// Stores tensors under these names, of random_values() of the names.
void store_weights(const std::filesystem::path& folder,
                   const std::map<std::string, std::vector<int64_t>>& shapes) {
  std::vector<SafetensorsWriter::Declaration> declarations;
  for (const auto& [name, shape] : shapes) declarations.push_back({name, DType::kF32, shape});
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, SafetensorsWriter::create(folder / "model.safetensors", declarations, {}));
  const std::vector<TensorInfo> infos = writer.infos();
  for (const TensorInfo& info : infos) {
    const auto values = test::random_values(info.name, info.element_count());
    FRUGAL_ASSERT_OK(writer.write(info.name, std::as_bytes(std::span(values))));
  }
  FRUGAL_ASSERT_OK(writer.commit());
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
    store_weights(folder(), shapes);
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

void store_as(const std::filesystem::path& folder, const Json& config,
              const std::map<std::string, std::vector<int64_t>>& shapes) {
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder / "config.json", config.dump()));
  store_weights(folder, shapes);
}

// Copies a checkpoint tensor by tensor; the names and bytes of what is stored.
std::map<std::string, std::string> copied(const Checkpoint& from, const std::filesystem::path& to,
                                          std::string_view grid = "") {
  std::filesystem::create_directories(to);
  std::vector<CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& tensor : architecture::tensors(from.config())) {
    tensors.push_back({tensor.name, from.info(tensor.name)->dtype, tensor.shape});
    if (!grid.empty() && tensor.is_stage_matrix()) tensors.back().grid = grid;
  }
  auto writer = CheckpointWriter::create(to, from.config(), tensors).value();
  for (const auto& tensor : tensors) {
    if (tensor.grid) {
      const auto codes = grid::round_to_nearest(grid::find_grid(*tensor.grid, 64).value(),
                                                from.values(tensor.name)->data(), tensor.shape[0],
                                                tensor.shape[1], {}, false);
      FRUGAL_EXPECT_OK(writer.write_codes(tensor.name, codes.value()));
    } else {
      FRUGAL_EXPECT_OK(writer.write(tensor.name, from.bytes(tensor.name).value()));
    }
  }
  FRUGAL_EXPECT_OK(writer.finish());
  std::map<std::string, std::string> stored;
  const auto file = SafetensorsFile::open(to / "model.safetensors").value();
  for (const auto& [name, info] : file.tensors()) {
    const auto bytes = file.bytes(info);
    stored[name] = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return stored;
}

std::string text_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// C 32, H 4, F 128, as test::tiny_gpt2 of the room of architectures.
std::map<std::string, std::vector<int64_t>> gpt2_shapes(const std::string& prefix) {
  std::map<std::string, std::vector<int64_t>> shapes = {{prefix + "wte.weight", {40, 32}},
                                                        {prefix + "wpe.weight", {128, 32}},
                                                        {prefix + "ln_f.weight", {32}},
                                                        {prefix + "ln_f.bias", {32}}};
  const std::string layer = prefix + "h.0.";
  for (const char* norm : {"ln_1", "ln_2"}) {
    shapes[layer + norm + ".weight"] = {32};
    shapes[layer + norm + ".bias"] = {32};
  }
  const std::map<std::string, std::pair<int64_t, int64_t>> matrices = {{"attn.c_attn", {32, 96}},
                                                                       {"attn.c_proj", {32, 32}},
                                                                       {"mlp.c_fc", {32, 128}},
                                                                       {"mlp.c_proj", {128, 32}}};
  for (const auto& [name, sizes] : matrices) {
    shapes[layer + name + ".weight"] = {sizes.first, sizes.second};
    shapes[layer + name + ".bias"] = {sizes.second};
  }
  return shapes;
}

const Json kTinyGpt2 = {{"architectures", {"GPT2LMHeadModel"}},
                        {"model_type", "gpt2"},
                        {"n_embd", 32},
                        {"n_head", 4},
                        {"n_layer", 1},
                        {"n_positions", 128},
                        {"vocab_size", 40}};

TEST(TransposedCheckpoint, IsReadByPartsAndWrittenBackByteForByte) {
  const frugal::test::TemporaryFolder folder;
  const std::string prefix = "transformer.";
  store_as(folder.path(), kTinyGpt2, gpt2_shapes(prefix));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  const auto fused = test::random_values("transformer.h.0.attn.c_attn.weight", 32 * 96);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto value,
                              checkpoint.values("transformer.h.0.attn.v_proj.weight"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto bytes,
                              checkpoint.bytes("transformer.h.0.attn.v_proj.weight"));
  EXPECT_FALSE(bytes.is_mapped());
  ASSERT_EQ(bytes.size(), value.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(bytes.data(), value.data(), bytes.size()), 0);
  for (size_t out = 0; out < 32; ++out) {
    for (size_t in = 0; in < 32; ++in) ASSERT_EQ(value[out * 32 + in], fused[in * 96 + 64 + out]);
  }
  const auto biases = test::random_values("transformer.h.0.attn.c_attn.bias", 96);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto key_bias,
                              checkpoint.values("transformer.h.0.attn.k_proj.bias"));
  EXPECT_EQ(key_bias, std::vector<float>(biases.begin() + 32, biases.begin() + 64));
  EXPECT_EQ(checkpoint.weight_bytes(), checkpoint.config().parameter_count() * 4);
  const auto stored = copied(checkpoint, folder.path() / "copy");
  EXPECT_EQ(stored.size(), gpt2_shapes(prefix).size());
  for (const auto& [name, shape] : gpt2_shapes(prefix)) {
    ASSERT_TRUE(stored.contains(name)) << name;
    EXPECT_EQ(stored.at(name), text_of(test::random_values(name, test::element_count(shape))));
  }
}

// As the first files had it: names without their beginning, masks, and the head beside the
// embedding.
TEST(TransposedCheckpoint, NamesMayBeShortAndMasksLieBeside) {
  const frugal::test::TemporaryFolder folder;
  auto shapes = gpt2_shapes("");
  shapes["h.0.attn.bias"] = {1, 1, 128, 128};
  shapes["h.0.attn.masked_bias"] = {1};
  store_as(folder.path(), kTinyGpt2, shapes);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  EXPECT_EQ(checkpoint.values("transformer.wpe.weight").value(),
            test::random_values("wpe.weight", 128 * 32));
  EXPECT_TRUE(copied(checkpoint, folder.path() / "copy").contains("transformer.h.0.ln_1.weight"));
  shapes["transformer.wpe.weight"] = {128, 32};
  store_as(folder.path(), kTinyGpt2, shapes);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder.path()), kInvalid,
                      "are stored, two names of one tensor");
  shapes = gpt2_shapes("");
  shapes["h.0.attn.c_attn.weight"] = {96, 32};  // as other families store it
  store_as(folder.path(), kTinyGpt2, shapes);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder.path()), kInvalid,
                      "its shape is [96, 32], the config demands [32, 96]");
}

// C 32, F 64, two experts, one layer.
Json tiny_mixtral() {
  Json json = test::tiny_config_json();
  json["architectures"] = {"MixtralForCausalLM"};
  json["model_type"] = "mixtral";
  json["num_hidden_layers"] = 1;
  json["num_local_experts"] = 2;
  return json;
}

std::map<std::string, std::vector<int64_t>> stacked_shapes() {
  const auto config = architecture::parse_model_config(tiny_mixtral(), "tiny").value();
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    if (tensor.expert == architecture::kNoExpert && tensor.role != architecture::Role::kRouter)
      shapes[tensor.name] = tensor.shape;
  }
  shapes["model.layers.0.mlp.gate.weight"] = {2, 32};
  shapes["model.layers.0.mlp.experts.gate_up_proj"] = {2, 128, 32};
  shapes["model.layers.0.mlp.experts.down_proj"] = {2, 32, 64};
  return shapes;
}

TEST(StackedCheckpoint, IsReadByExpertsAndWrittenBackByteForByte) {
  const frugal::test::TemporaryFolder folder;
  store_as(folder.path(), tiny_mixtral(), stacked_shapes());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  EXPECT_TRUE(checkpoint.config().stacked_experts);
  const auto stack = test::random_values("model.layers.0.mlp.experts.gate_up_proj", 2 * 128 * 32);
  EXPECT_EQ(checkpoint.values("model.layers.0.block_sparse_moe.experts.1.w3.weight").value(),
            std::vector<float>(stack.begin() + (128 + 64) * 32, stack.end()));
  const auto stored = copied(checkpoint, folder.path() / "copy");
  for (const auto& [name, shape] : stacked_shapes()) {
    ASSERT_TRUE(stored.contains(name)) << name;
    EXPECT_EQ(stored.at(name), text_of(test::random_values(name, test::element_count(shape))));
  }
  EXPECT_EQ(stored.size(), stacked_shapes().size());
}

// Codes lie apart, and the config remembers the form for when they are numbers again.
TEST(StackedCheckpoint, RemembersItsFormOnAGrid) {
  const frugal::test::TemporaryFolder folder;
  store_as(folder.path(), tiny_mixtral(), stacked_shapes());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  const auto stored = copied(checkpoint, folder.path() / "rounded", "q8_0");
  EXPECT_TRUE(stored.contains("model.layers.0.block_sparse_moe.experts.1.w3.weight"));
  EXPECT_FALSE(stored.contains("model.layers.0.mlp.experts.gate_up_proj"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto rounded, Checkpoint::open(folder.path() / "rounded"));
  EXPECT_TRUE(rounded.config().stacked_experts);
  EXPECT_EQ(rounded.quantized().size(), 4u + 2 * 3);
}

TEST(StackedCheckpoint, ExpertsOneByOneStayOneByOne) {
  const frugal::test::TemporaryFolder folder;
  const auto config = architecture::parse_model_config(tiny_mixtral(), "tiny").value();
  FRUGAL_ASSERT_OK(test::write_model(folder.path(), config, DType::kF32));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  EXPECT_FALSE(checkpoint.config().stacked_experts);
  EXPECT_TRUE(copied(checkpoint, folder.path() / "copy")
                  .contains("model.layers.0.block_sparse_moe.experts.1.w3.weight"));
}

}  // namespace
}  // namespace frugal::format
