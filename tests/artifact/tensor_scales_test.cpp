#include "artifact/gguf/tensor_scales.h"

#include <gtest/gtest.h>

#include <cstring>

#include "artifact/exporter.h"
#include "artifact/gguf/gguf_model.h"
#include "artifact/importer.h"
#include "format/metadata.h"
#include "gguf_files.h"
#include "grid_checkpoint.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;
using architecture::Role;
using architecture::Tensor;
using format::Checkpoint;
using test::GgufContent;
using test::TemporaryFolder;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
const std::string kDown = "model.layers.0.mlp.down_proj.weight";

class TensorScales : public ::testing::Test {
 protected:
  Checkpoint on(const std::string& grid) {
    return layers_on(toy_, folder_.path() / "source", {grid});
  }
  fs::path file() const { return folder_.path() / "x.gguf"; }
  // Written and read back.
  void write(const Checkpoint& source) {
    FRUGAL_ASSERT_OK(write_artifact(*find_exporter("gguf"), source, {}, file(), true));
  }
  absl::StatusOr<Checkpoint> import() {
    const fs::path found = folder_.path() / "found";
    fs::remove_all(found);
    fs::create_directories(found);
    FRUGAL_RETURN_IF_ERROR(kGgufImporter.write(file(), found).status());
    return Checkpoint::open(found);
  }
  static std::vector<std::byte> bytes_of(const std::vector<float>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    return {bytes.begin(), bytes.end()};
  }

  TemporaryFolder folder_;
  const Checkpoint toy_ = test::toy_checkpoint(
      folder_.path() / "toy", {.layers = 2, .width = 128, .neurons = 256, .tied = false});
};

TEST_F(TensorScales, LieBesideTheirMatricesAndComeBackAsTheGrid) {
  for (const auto& [grid, scale] :
       {std::pair{"nvfp4", 0x1p-7f}, {"nvfp4:e-3", 0.125f}, {"nvfp4:e0", 1.0f}}) {
    SCOPED_TRACE(grid);
    const Checkpoint source = on(grid);
    write(source);
    GgufContent content = test::read_gguf(file());
    size_t scales = 0;
    for (const GgufContent::Tensor& tensor : content.tensors) {
      if (!tensor.declaration.name.ends_with(".scale")) continue;
      ++scales;
      EXPECT_EQ(tensor.declaration.type.name, "F32");
      EXPECT_EQ(tensor.declaration.shape, (std::vector<int64_t>{1}));
      EXPECT_EQ(tensor.bytes, bytes_of({scale})) << tensor.declaration.name;
    }
    EXPECT_EQ(scales, scale == 1 ? 0u : 14u);  // seven matrices in each of two layers
    EXPECT_EQ(content.tensor("blk.1.attn_q.weight").declaration.type.name, "NVFP4");
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found, import());
    ASSERT_EQ(found.quantized().size(), 14u);
    for (const auto& [name, entry] : source.quantized()) {
      EXPECT_EQ(found.quantized().at(name).grid, grid);
      EXPECT_EQ(found.values(name).value(), source.values(name).value()) << name;
    }
  }
}

// As tools write it that take the largest weight over the largest scale.
TEST_F(TensorScales, OtherThanPowersOfTwoComeAsNumbers) {
  const Checkpoint source = on("nvfp4:e0");
  write(source);
  GgufContent content = test::read_gguf(file());
  const float scale = 0.0071f;
  content.tensors.push_back(
      {{"blk.0.ffn_down.scale", {1}, format::ggml_type("F32").value()}, bytes_of({scale})});
  test::write_gguf_content(file(), content);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found, import());
  EXPECT_FALSE(found.quantized().contains(kDown));
  EXPECT_EQ(found.quantized().size(), 13u);
  std::vector<float> expected = source.values(kDown).value();
  for (float& value : expected) value *= scale;
  EXPECT_EQ(found.values(kDown).value(), expected);
}

TEST_F(TensorScales, ThatAreNoneAreNamed) {
  write(on("nvfp4"));
  const GgufContent good = test::read_gguf(file());
  const auto expect = [&](absl::StatusCode code, const std::string& says, const auto& change) {
    GgufContent content = good;
    change(content);
    test::write_gguf_content(file(), content);
    FRUGAL_EXPECT_ERROR(import().status(), code, says);
  };
  expect(kInvalid, "'blk.0.ffn_down.scale' is F16 of 2 bytes, expected 1 numbers of F32",
         [](GgufContent& c) {
           c.tensor("blk.0.ffn_down.scale").declaration.type = format::ggml_type("F16").value();
         });
  expect(kInvalid, "expected 1 numbers of F32, the scale of 'blk.0.ffn_down.weight'",
         [](GgufContent& c) { c.tensor("blk.0.ffn_down.scale").declaration.shape = {2}; });
  for (const float bad : {0.0f, -0.5f, INFINITY}) {
    expect(absl::StatusCode::kDataLoss, "expected positive numbers",
           [&](GgufContent& c) { c.tensor("blk.0.ffn_down.scale").bytes = bytes_of({bad}); });
  }
  // Beside a type that needs none it would be passed over.
  expect(absl::StatusCode::kUnimplemented, "'blk.0.ffn_down.scale' is not one", [](GgufContent& c) {
    c.tensor("blk.0.ffn_down.weight").declaration.type = format::ggml_type("Q4_0").value();
  });
}

TEST_F(TensorScales, OfAnEmbeddingAreRefusedByPlan) {
  format::ModelInfo model = format::metadata_of(toy_);
  model.has_tokenizer = true;
  const std::string embedding = architecture::tensor_name(model.config, Role::kEmbedding);
  std::vector<std::string> warnings;
  model.grids[embedding] = "nvfp4";
  const Exporter& gguf = *find_exporter("gguf");
  FRUGAL_EXPECT_ERROR(gguf.check(model, {}, warnings), kInvalid,
                      base::str_cat("cannot write ", embedding, " to GGUF: grid nvfp4"));
  model.grids[embedding] = "nvfp4:e0";
  FRUGAL_EXPECT_OK(gguf.check(model, {}, warnings));
}

// llama.cpp's other graphs load them and pass some over.
TEST_F(TensorScales, OfOtherGraphsAreRefusedByPlan) {
  format::ModelInfo model = format::metadata_of(toy_);
  model.has_tokenizer = true;
  model.config.architecture = "Qwen2ForCausalLM";
  model.config.model_type = "qwen2";
  std::vector<std::string> warnings;
  model.grids[kDown] = "nvfp4";
  const Exporter& gguf = *find_exporter("gguf");
  FRUGAL_EXPECT_ERROR(gguf.check(model, {}, warnings), kInvalid,
                      base::str_cat("cannot write ", kDown, " to GGUF: grid nvfp4"));
  FRUGAL_EXPECT_ERROR(gguf.check(model, {}, warnings), kInvalid, "llama.cpp's graph of 'qwen2'");
  model.grids[kDown] = "nvfp4:e0";
  FRUGAL_EXPECT_OK(gguf.check(model, {}, warnings));
}

TEST_F(TensorScales, OfAStackAreOneForEachExpert) {
  GgufSource stack;
  stack.name = "blk.0.ffn_up_exps.weight";
  for (const Tensor& tensor : architecture::tensors(toy_.config())) {
    if (tensor.role == Role::kUp) stack.parts.push_back(tensor);
  }
  ASSERT_EQ(stack.parts.size(), 2u);
  stack.shape = {2, 256, 128};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto scales,
                              gguf_tensor_scales(toy_.config(), {stack}, [](const std::string&) {
                                return std::string("nvfp4:e-1");
                              }));
  ASSERT_EQ(scales.size(), 1u);
  EXPECT_EQ(scales[0].name, "blk.0.ffn_up_exps.scale");
  EXPECT_EQ(scales[0].values, (std::vector<float>{0.5f, 0.5f}));
}

TEST_F(TensorScales, TheFilesSizeIsKnownBefore) {
  const Checkpoint source = on("nvfp4");
  write(source);
  format::ModelInfo model = format::metadata_of(source);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Forecast with, find_exporter("gguf")->forecast(model, {}));
  for (auto& [name, grid] : model.grids) grid = "nvfp4:e0";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Forecast without, find_exporter("gguf")->forecast(model, {}));
  // 32 bytes of data and an entry of 48 and its name, for each of 14.
  EXPECT_GT(with.bytes - without.bytes, 14 * (32 + 48));
  EXPECT_LT(with.bytes - without.bytes, 14 * (32 + 48 + 64));
}

TEST_F(TensorScales, CountAmongTheTensorsOfAFilesParts) {
  const Checkpoint source = on("nvfp4");
  GgufOptions options;
  options.max_part_bytes = 1;  // a part for every tensor
  FRUGAL_ASSERT_OK_AND_ASSIGN(const size_t with, gguf_part_count(source, options));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const size_t without, gguf_part_count(on("nvfp4:e0"), options));
  EXPECT_EQ(with, without + 14);
}

}  // namespace
}  // namespace frugal::artifact
