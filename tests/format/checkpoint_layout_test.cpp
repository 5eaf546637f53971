#include "format/checkpoint_layout.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "format/shards.h"
#include "format/tiny_model.h"

namespace frugal::format {
namespace {

constexpr int64_t kOneShard = int64_t{1} << 40;

TEST(CheckpointLayout, FillsShardsInTheOrderOfTheTensors) {
  const auto config = test::tiny_config();
  const auto tensors = test::declarations(config, DType::kF32);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto whole, lay_out(config, tensors, kOneShard));
  EXPECT_EQ(whole.shard_count, 1u);
  ASSERT_EQ(whole.stored.size(), tensors.size());
  int64_t largest = 0;
  for (const FileTensor& tensor : whole.stored) largest = std::max(largest, tensor.size_bytes);

  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto dealt, lay_out(config, tensors, largest));
  EXPECT_GT(dealt.shard_count, 1u);
  std::vector<int64_t> filled(dealt.shard_count);
  size_t before = 0;
  for (const FileTensor& tensor : dealt.stored) {
    EXPECT_TRUE(tensor.shard == before || tensor.shard == before + 1) << tensor.tensor.name;
    // A new one is begun only where the tensor would not have fitted.
    if (tensor.shard != before) EXPECT_GT(filled[before] + tensor.size_bytes, largest);
    before = tensor.shard;
    filled[before] += tensor.size_bytes;
  }
  for (const int64_t bytes : filled) {
    EXPECT_GT(bytes, 0);
    EXPECT_LE(bytes, largest);
  }
}

TEST(CheckpointLayout, CodesTakeTheBytesOfTheirBlocks) {
  const auto config = test::tiny_config();
  auto tensors = test::declarations(config, DType::kBF16);
  const std::string query = "model.layers.1.self_attn.q_proj.weight";
  const auto declared = std::find_if(tensors.begin(), tensors.end(),
                                     [&](const auto& tensor) { return tensor.name == query; });
  declared->grid = "q8_0";  // 34 bytes for 32 columns
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layout, lay_out(config, tensors, kOneShard));
  const PlannedTensor& planned = layout.tensors[declared - tensors.begin()];
  EXPECT_EQ(planned.stored_dtype, DType::kU8);
  EXPECT_EQ(planned.stored_shape, (std::vector<int64_t>{32, 34}));
  EXPECT_EQ(layout.stored[planned.stored].tensor.name, query);

  const base::Json json = config_json(config, layout.tensors);
  EXPECT_EQ(json.at("torch_dtype"), "bfloat16");
  EXPECT_EQ(json.at("frugal").at("quantized"),
            (base::Json{{query, {{"grid", "q8_0"}, {"shape", {32, 32}}}}}));
  EXPECT_EQ(json.at("a_key_of_tomorrow"), test::tiny_config_json().at("a_key_of_tomorrow"));
}

TEST(CheckpointLayout, ShardsAreCalledAsTransformersCallsThem) {
  EXPECT_EQ(shard_name(0, 1), "model.safetensors");
  EXPECT_EQ(shard_name(1, 7), "model-00002-of-00007.safetensors");
}

}  // namespace
}  // namespace frugal::format
