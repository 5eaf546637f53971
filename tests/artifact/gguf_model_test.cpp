#include "artifact/gguf/gguf_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <set>

#include "artifact/exact_layout.h"
#include "base/file.h"
#include "base/json.h"
#include "model/decoder.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;

format::ModelInfo info_of(const format::Checkpoint& checkpoint) {
  format::ModelInfo info;
  info.name = "toy";
  info.config = checkpoint.config();
  info.has_tokenizer = true;
  return info;
}

TEST(RowOrder, InterleavesTheHalvesOfEachHead) {
  EXPECT_EQ(interleaved_row_order(8, 2), (std::vector<int64_t>{0, 2, 1, 3, 4, 6, 5, 7}));
  std::vector<int64_t> order = interleaved_row_order(96, 4);
  std::sort(order.begin(), order.end());
  std::vector<int64_t> all(96);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(order, all);
}

TEST(GgufTensors, NameEveryExpectedWeightOnce) {
  const architecture::ModelConfig config = test::toy_config({.layers = 2, .tied = false});
  std::vector<std::string> weights;
  for (const GgufSource& source : gguf_tensors(config)) {
    for (const architecture::Tensor& part : source.parts) weights.push_back(part.name);
  }
  std::vector<std::string> expected;
  for (const architecture::Tensor& tensor : architecture::tensors(config))
    expected.push_back(tensor.name);
  std::sort(weights.begin(), weights.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(weights, expected);
}

TEST(GgufTensors, ScaledFrequenciesTravelAsATensor) {
  architecture::ModelConfig config = test::toy_config({});
  config.layers.front().attention.rope.scaling = architecture::RopeScaling{};
  const auto tensors = gguf_tensors(config);
  const auto found = std::find_if(tensors.begin(), tensors.end(), [](const GgufSource& s) {
    return s.name == "rope_freqs.weight";
  });
  ASSERT_NE(found, tensors.end());
  EXPECT_EQ(found->shape, std::vector<int64_t>{config.layers.front().attention.head_size / 2});
}

TEST(WriteGguf, HoldsTheWeightsWithQAndKInterleaved) {
  const test::TemporaryFolder folder;
  const format::Checkpoint checkpoint =
      toy_checkpoint(folder.path() / "toy", {.layers = 1, .tied = true});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(checkpoint.folder()));
  FRUGAL_ASSERT_OK(write_gguf(checkpoint, *tokenizer, "toy", folder.path() / "toy.gguf"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile file,
                              format::GgufFile::open(folder.path() / "toy.gguf"));
  EXPECT_EQ(file.find_tensor("output.weight"), nullptr);  // tied: llama.cpp takes the embedding
  EXPECT_EQ(std::get<uint32_t>(*file.find("llama.block_count")), 1u);
  EXPECT_EQ(std::get<std::vector<std::string>>(*file.find("tokenizer.ggml.tokens")).size(),
            static_cast<size_t>(kToyVocabulary));

  const std::vector<float> source =
      checkpoint.values("model.layers.0.self_attn.k_proj.weight").value();
  const format::GgufTensor* tensor = file.find_tensor("blk.0.attn_k.weight");
  ASSERT_NE(tensor, nullptr);
  std::vector<float> stored(source.size());
  std::memcpy(stored.data(), file.bytes(*tensor).data(), stored.size() * sizeof(float));
  const int64_t columns = tensor->shape[1];
  const std::vector<int64_t> order = interleaved_row_order(
      tensor->shape[0], checkpoint.config().layers.front().attention.key_value_heads);
  for (int64_t row = 0; row < tensor->shape[0]; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      ASSERT_EQ(stored[row * columns + column], source[order[row] * columns + column]);
    }
  }
}

TEST(WriteGguf, IsAFunctionOfTheCheckpoint) {
  const test::TemporaryFolder folder;
  const format::Checkpoint checkpoint = toy_checkpoint(folder.path() / "toy", {.layers = 1});
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(checkpoint.folder()));
  for (const char* name : {"a.gguf", "b.gguf"})
    FRUGAL_ASSERT_OK(write_gguf(checkpoint, *tokenizer, "toy", folder.path() / name));
  EXPECT_EQ(base::read_file(folder.path() / "a.gguf").value(),
            base::read_file(folder.path() / "b.gguf").value());
}

TEST(CheckGguf, RefusesWhatTheFileCannotHold) {
  const test::TemporaryFolder folder;
  const format::ModelInfo good = info_of(toy_checkpoint(folder.path() / "toy", {.layers = 1}));
  FRUGAL_EXPECT_OK(check_gguf(good));
  format::ModelInfo bare = good;
  bare.has_tokenizer = false;
  FRUGAL_EXPECT_ERROR(check_gguf(bare), absl::StatusCode::kInvalidArgument, "no tokenizer");
  format::ModelInfo row = good;
  row.grids["model.layers.0.mlp.up_proj.weight"] = "int8:row";
  FRUGAL_EXPECT_ERROR(check_gguf(row), absl::StatusCode::kInvalidArgument, "one scale per row");
  format::ModelInfo offset = good;
  offset.grids["model.layers.0.mlp.up_proj.weight"] = "int4:asym";
  FRUGAL_EXPECT_ERROR(check_gguf(offset), absl::StatusCode::kInvalidArgument, "int4");
  format::ModelInfo other = good;
  for (auto& layer : other.config.layers) layer.attention.window = 8;
  FRUGAL_EXPECT_ERROR(check_gguf(other), absl::StatusCode::kUnimplemented,
                      "has no sliding window, but layer 0 sees 8 tokens");
}

// A Phi-3 of a toy's sizes.
format::Checkpoint fused_toy(const std::filesystem::path& folder) {
  const format::Checkpoint toy = toy_checkpoint(folder / "toy", {.layers = 1});
  architecture::ModelConfig config = toy.config();
  config.architecture = "Phi3ForCausalLM";
  config.model_type = "phi3";
  const auto decoder = model::Decoder::create(config, 1, at::kCPU).value();
  std::filesystem::create_directories(folder / "fused");
  FRUGAL_EXPECT_OK(decoder.save(folder / "fused", format::DType::kF32));
  return format::Checkpoint::open(folder / "fused").value();
}

TEST(WriteGguf, HoldsFusedMatricesBelowEachOther) {
  const test::TemporaryFolder folder;
  const format::Checkpoint checkpoint = fused_toy(folder.path());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto tokenizer, text::load_tokenizer(folder.path() / "toy"));
  FRUGAL_ASSERT_OK(write_gguf(checkpoint, *tokenizer, "toy", folder.path() / "toy.gguf"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile file,
                              format::GgufFile::open(folder.path() / "toy.gguf"));
  EXPECT_EQ(file.find_tensor("blk.0.attn_q.weight"), nullptr);
  EXPECT_EQ(file.find_tensor("blk.0.ffn_gate.weight"), nullptr);
  const std::map<std::string, std::vector<const char*>> fused = {
      {"blk.0.attn_qkv.weight", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
      {"blk.0.ffn_up.weight", {"mlp.gate_proj", "mlp.up_proj"}}};
  for (const auto& [name, parts] : fused) {
    const format::GgufTensor* tensor = file.find_tensor(name);
    ASSERT_NE(tensor, nullptr) << name;
    std::vector<float> expected;
    for (const char* part : parts) {
      const std::vector<float> values =
          checkpoint.values(base::str_cat("model.layers.0.", part, ".weight")).value();
      expected.insert(expected.end(), values.begin(), values.end());
    }
    std::vector<float> found(expected.size());
    ASSERT_EQ(file.bytes(*tensor).size(), found.size() * sizeof(float)) << name;
    std::memcpy(found.data(), file.bytes(*tensor).data(), found.size() * sizeof(float));
    EXPECT_EQ(found, expected) << name;
  }
}

TEST(CheckGguf, FusedMatricesAreOfOneType) {
  const test::TemporaryFolder folder;
  format::ModelInfo info = info_of(fused_toy(folder.path()));
  FRUGAL_EXPECT_OK(check_gguf(info));
  const std::string query = "model.layers.0.self_attn.q_proj.weight";
  const std::string value = "model.layers.0.self_attn.v_proj.weight";
  info.grids[query] = "q8_0";
  info.grids["model.layers.0.self_attn.k_proj.weight"] = "q8_0";
  info.grids[value] = "q4_0";
  FRUGAL_EXPECT_ERROR(
      check_gguf(info), absl::StatusCode::kInvalidArgument,
      base::str_cat("cannot write ", value, " to GGUF: it is q4_0 there, but ", query, " is q8_0"));
  info.grids[value] = "q8_0";
  FRUGAL_EXPECT_OK(check_gguf(info));
}

}  // namespace
}  // namespace frugal::artifact
