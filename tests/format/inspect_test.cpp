#include "format/inspect.h"

#include <gtest/gtest.h>

#include "format/gguf_golden.h"
#include "format/tiny_model.h"
#include "format/tiny_onnx.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;

TEST(Inspect, DescribesACheckpoint) {
  const frugal::test::TemporaryFolder folder;
  architecture::ModelConfig config = test::tiny_config();
  config.source["frugal"] = {{"version", 1}, {"pass", "distill"}};
  auto tensors = test::declarations(config, DType::kBF16);
  for (auto& tensor : tensors) {
    if (tensor.name.find("mlp.") != std::string::npos) tensor.grid = "q8_0";
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                              CheckpointWriter::create(folder.path(), config, tensors));
  for (const auto& tensor : tensors) {
    const auto values = test::random_values(tensor.name, test::element_count(tensor.shape));
    if (!tensor.grid) {
      FRUGAL_ASSERT_OK(writer.write_values(tensor.name, values));
      continue;
    }
    FRUGAL_ASSERT_OK_AND_ASSIGN(auto grid, grid::find_grid("q8_0", tensor.shape[1]));
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        const auto matrix,
        grid::round_to_nearest(grid, values.data(), tensor.shape[0], tensor.shape[1], {}, false));
    FRUGAL_ASSERT_OK(writer.write_codes(tensor.name, matrix));
  }
  FRUGAL_ASSERT_OK(writer.finish());
  test::write_text(folder.path() / "tokenizer.json", "{}");

  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json json, inspect(folder.path()));
  EXPECT_EQ(json["kind"], "checkpoint");
  EXPECT_EQ(json["architecture"], "LlamaForCausalLM");
  EXPECT_EQ(json["parameters"], config.parameter_count());
  const int64_t mlp = 2 * 3 * 64 * 32;
  const int64_t rest = config.parameter_count() - mlp;
  EXPECT_EQ(json["types"]["q8_0"],
            Json({{"tensors", 6}, {"parameters", mlp}, {"bytes", mlp / 32 * 34}}));
  EXPECT_EQ(json["types"]["BF16"]["bytes"], rest * 2);
  EXPECT_DOUBLE_EQ(
      json["bits_per_weight"].get<double>(),
      8.0 * static_cast<double>(mlp / 32 * 34 + rest * 2) / static_cast<double>(mlp + rest));
  EXPECT_EQ(json["tensors"].size(), 20u);
  EXPECT_EQ(json["tensors"][0], Json({{"name", "model.embed_tokens.weight"},
                                      {"shape", {40, 32}},
                                      {"type", "BF16"},
                                      {"bytes", 2560}}));
  EXPECT_EQ(json["side_files"], Json::array({"tokenizer.json"}));
  EXPECT_EQ(json["provenance"], Json({{"version", 1}, {"pass", "distill"}}));
  EXPECT_FALSE(json["metadata"].contains("frugal"));
}

TEST(Inspect, DescribesASafetensorsFile) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json json,
                              inspect(fs::path(GOLDEN_FOLDER) / "ours.safetensors"));
  EXPECT_EQ(json["kind"], "safetensors");
  EXPECT_EQ(json["architecture"], nullptr);
  EXPECT_EQ(json["tensors"][0]["name"], "weight");
  EXPECT_EQ(json["metadata"], Json({{"format", "pt"}}));
  EXPECT_EQ(json["weight_bytes"], 51);
}

TEST(Inspect, DescribesAGgufFile) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json json, inspect(fs::path(GOLDEN_FOLDER) / "python.gguf"));
  EXPECT_EQ(json["kind"], "gguf");
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["types"]["Q4_0"], Json({{"tensors", 1}, {"parameters", 256}, {"bytes", 144}}));
  EXPECT_EQ(json["metadata"]["k.u64"], uint64_t{1} << 63);
  EXPECT_EQ(json["metadata"]["tokenizer.ggml.tokens"][2], "▁b");
  EXPECT_EQ(json["provenance"], Json::object());
}

TEST(Inspect, DescribesAnOnnxFolder) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(test::write_tiny_onnx(folder.path() / "model.onnx"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json json, inspect(folder.path()));
  EXPECT_EQ(json["kind"], "onnx");
  EXPECT_EQ(json["architecture"], "LlamaForCausalLM");
  EXPECT_EQ(json["opsets"], Json({{"ai.onnx", 21}, {"com.microsoft", 1}}));
  EXPECT_EQ(json["operators"]["Reshape"], 2);
  EXPECT_EQ(json["parameters"], 32 * 64 + 64 + 64);
  EXPECT_EQ(json["inputs"][0]["shape"], Json::array({"batch_size", "sequence_length", 32}));
  EXPECT_EQ(json["provenance"]["architecture"], "LlamaForCausalLM");
}

TEST(Inspect, SaysWhatItCannotDescribe) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_EXPECT_ERROR(inspect(folder.path() / "none"), absl::StatusCode::kNotFound, "no such file");
  FRUGAL_EXPECT_ERROR(inspect(folder.path()), absl::StatusCode::kInvalidArgument,
                      "without config.json or model.onnx");
  test::write_text(folder.path() / "a.txt", "x");
  FRUGAL_EXPECT_ERROR(inspect(folder.path() / "a.txt"), absl::StatusCode::kInvalidArgument,
                      "neither its name nor its content is that of a model");
}

}  // namespace
}  // namespace frugal::format
