#include "format/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/hash.h"
#include "format/tiny_model.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;
using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    FRUGAL_ASSERT_OK(test::write_model(folder(), test::tiny_config(), DType::kF32));
  }
  const fs::path& folder() const { return folder_.path(); }

  Json config_json() const { return base::read_json(folder() / "config.json").value(); }
  void set_config(const Json& json) const {
    test::write_text(folder() / "config.json", json.dump());
  }

  // Rewrites model.safetensors with `edit` applied to its tensors.
  struct Stored {
    DType dtype;
    std::vector<int64_t> shape;
    std::vector<std::byte> bytes;
  };
  using Tensors = std::map<std::string, Stored>;
  void edit_weights(const std::function<void(Tensors&)>& edit) const {
    Tensors tensors;
    {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file,
                                  SafetensorsFile::open(folder() / "model.safetensors"));
      for (const auto& [name, info] : file.tensors()) {
        const auto bytes = file.bytes(info);
        tensors[name] = {info.dtype, info.shape, {bytes.begin(), bytes.end()}};
      }
    }
    edit(tensors);
    std::vector<SafetensorsWriter::Declaration> declarations;
    for (const auto& [name, stored] : tensors)
      declarations.push_back({name, stored.dtype, stored.shape});
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        auto writer, SafetensorsWriter::create(folder() / "model.safetensors", declarations, {}));
    const std::vector<TensorInfo> infos = writer.infos();
    for (const TensorInfo& info : infos)
      FRUGAL_ASSERT_OK(writer.write(info.name, tensors[info.name].bytes));
    FRUGAL_ASSERT_OK(writer.commit());
  }

 private:
  frugal::test::TemporaryFolder folder_;
};

TEST_F(CheckpointTest, ReadsWhatWasWritten) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder()));
  EXPECT_EQ(checkpoint.config().hidden_size, 32);
  EXPECT_EQ(checkpoint.tensor_names().size(), 20u);
  EXPECT_EQ(checkpoint.weight_bytes(), checkpoint.config().parameter_count() * 4);
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto values, checkpoint.values(name));
  EXPECT_EQ(values, test::random_values(name, 32 * 64));
  FRUGAL_EXPECT_ERROR(checkpoint.values("model.layer.1.mlp.down_proj.weight"),
                      absl::StatusCode::kNotFound, "did you mean");
  FRUGAL_EXPECT_ERROR(checkpoint.codes(name), absl::StatusCode::kInvalidArgument,
                      "is not quantized");
}

TEST_F(CheckpointTest, SaysWhatFolderThisIs) {
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder() / "nowhere"), absl::StatusCode::kNotFound,
                      "no such folder");
  fs::remove(folder() / "model.safetensors");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kNotFound, "no weights");
  test::write_text(folder() / "pytorch_model.bin", "x");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kNotFound,
                      "'pytorch_model.bin' is a PyTorch or pickle file");
  fs::remove(folder() / "config.json");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kNotFound, "no config.json");
}

TEST_F(CheckpointTest, MissingTensorIsNamed) {
  edit_weights([](Tensors& tensors) { tensors.erase("model.layers.1.self_attn.o_proj.weight"); });
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kDataLoss,
                      "tensor 'model.layers.1.self_attn.o_proj.weight' [32, 32] is missing");
}

TEST_F(CheckpointTest, WrongShapeIsNamed) {
  edit_weights(
      [](Tensors& tensors) { tensors["model.layers.0.self_attn.k_proj.weight"].shape = {32, 16}; });
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kInvalidArgument,
                      "tensor 'model.layers.0.self_attn.k_proj.weight': its shape is [32, 16], the "
                      "config demands [16, 32]");
}

TEST_F(CheckpointTest, OtherElementTypesAreRefused) {
  edit_weights([](Tensors& tensors) { tensors["model.norm.weight"].dtype = DType::kI32; });
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kUnimplemented,
                      "its type is I32");
}

TEST_F(CheckpointTest, UnknownTensorsAreNamedAndBuffersSkipped) {
  edit_weights([](Tensors& tensors) {
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {
        DType::kF32, {1}, std::vector<std::byte>(4)};
  });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder()));
  EXPECT_FALSE(checkpoint.has("model.layers.0.self_attn.rotary_emb.inv_freq"));
  edit_weights([](Tensors& tensors) {
    tensors["model.layers.0.self_attn.q_norm.weight"] = {
        DType::kF32, {1}, std::vector<std::byte>(4)};
  });
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kInvalidArgument,
                      "does not have: model.layers.0.self_attn.q_norm.weight");
}

TEST_F(CheckpointTest, TiedHeadMustEqualTheEmbedding) {
  edit_weights(
      [](Tensors& tensors) { tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]; });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder()));
  EXPECT_FALSE(checkpoint.has("lm_head.weight"));
  FRUGAL_EXPECT_OK(checkpoint.values("model.embed_tokens.weight"));
  // Compared when the embedding is read, and by its hash; other weights do not wait for it.
  edit_weights([](Tensors& tensors) { tensors["lm_head.weight"].bytes[100] ^= std::byte{1}; });
  constexpr const char* kDiffers = "'lm_head.weight' differs from 'model.embed_tokens.weight'";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto other, Checkpoint::open(folder()));
  const Checkpoint copy = other;
  FRUGAL_EXPECT_OK(other.values("model.norm.weight"));
  for (const Checkpoint* opened : {&other, &copy}) {
    FRUGAL_EXPECT_ERROR(opened->values("model.embed_tokens.weight"),
                        absl::StatusCode::kInvalidArgument, kDiffers);
    FRUGAL_EXPECT_ERROR(opened->content_hash(), absl::StatusCode::kInvalidArgument, kDiffers);
  }
  // Of another shape: seen at once.
  edit_weights([](Tensors& tensors) {
    tensors["lm_head.weight"] = tensors["model.layers.0.mlp.down_proj.weight"];
  });
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kInvalidArgument, kDiffers);
}

TEST_F(CheckpointTest, UntiedHeadMustBeThere) {
  Json json = config_json();
  json["tie_word_embeddings"] = false;
  set_config(json);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kDataLoss,
                      "\"tie_word_embeddings\": true");
}

TEST_F(CheckpointTest, TruncatedWeightsAreNamed) {
  fs::resize_file(folder() / "model.safetensors",
                  fs::file_size(folder() / "model.safetensors") - 1);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kDataLoss,
                      "model.safetensors: truncated");
}

TEST_F(CheckpointTest, NanIsFoundWhenValuesAreRead) {
  edit_weights([](Tensors& tensors) {
    const float nan = std::nanf("");
    std::memcpy(tensors["model.norm.weight"].bytes.data() + 4 * 5, &nan, 4);
  });
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder()));
  FRUGAL_EXPECT_ERROR(checkpoint.values("model.norm.weight"), absl::StatusCode::kDataLoss,
                      "tensor 'model.norm.weight' holds nan at element 5");
}

TEST_F(CheckpointTest, PackedWeightsOfOtherToolsAreNamed) {
  Json json = config_json();
  json["quantization_config"] = {{"quant_method", "gptq"}};
  set_config(json);
  edit_weights([](Tensors& tensors) {
    tensors.erase("model.layers.0.mlp.up_proj.weight");
    tensors["model.layers.0.mlp.up_proj.qweight"] = {
        DType::kI32, {4, 64}, std::vector<std::byte>(4 * 4 * 64)};
  });
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kUnimplemented,
                      "packed as 'gptq'");
  json.erase("quantization_config");
  set_config(json);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kInvalidArgument,
                      "'model.layers.0.mlp.up_proj.qweight' is of weights that another quantizer");
}

TEST_F(CheckpointTest, StaleQuantizationConfigIsToldFromPackedWeights) {
  const Json plain = config_json();
  for (const Json& stale : {Json{{"quant_method", "bitsandbytes"}}, Json{{"load_in_4bit", true}}}) {
    Json json = plain;
    json["quantization_config"] = stale;
    set_config(json);
    FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kInvalidArgument,
                        "'quantization_config' says bitsandbytes, but all weights are plain");
    FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kInvalidArgument,
                        "delete the key 'quantization_config'");
  }
  set_config(plain);  // the advice, followed
  FRUGAL_EXPECT_OK(Checkpoint::open(folder()));
}

TEST_F(CheckpointTest, QuantizedEntriesAreChecked) {
  const Json json = config_json();
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const auto with = [&](const Json& entry) {
    Json changed = json;
    changed["frugal"] = {{"version", 1}, {"quantized", {{name, entry}}}};
    set_config(changed);
    return Checkpoint::open(folder()).status();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(with({{"grid", "q4_0"}}), invalid, "'shape' is missing");
  FRUGAL_EXPECT_ERROR(with({{"grid", "q4_0"}, {"shape", {64, -32}}}), invalid,
                      "two positive integers");
  FRUGAL_EXPECT_ERROR(with({{"grid", "q4_0"}, {"shape", {32, 64}}}), invalid,
                      "its quantized shape is [32, 64]");
  EXPECT_FALSE(with({{"grid", "q4_nope"}, {"shape", {64, 32}}}).ok());
  FRUGAL_EXPECT_ERROR(with({{"grid", "q4_0"}, {"shape", {64, 32}}}), absl::StatusCode::kDataLoss,
                      "stored as F32 [64, 32], grid q4_0 needs U8 [64, 18]");
  Json changed = json;
  changed["frugal"] = {{"version", 3}};
  set_config(changed);
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kUnimplemented,
                      "version 3 is newer");
}

TEST_F(CheckpointTest, ActivationsAreChecked) {
  const Json json = config_json();
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const auto with = [&](int64_t version, const char* grid, const char* activations) {
    Json entry = {{"grid", grid}, {"shape", {64, 32}}, {"activations", activations}};
    Json changed = json;
    changed["frugal"] = {{"version", version}, {"quantized", {{name, entry}}}};
    set_config(changed);
    return Checkpoint::open(folder()).status();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(with(2, "int8:row", "int3"), invalid, "activations 'int3' are unknown");
  FRUGAL_EXPECT_ERROR(with(1, "int8:row", "int8"), invalid, "belong to version 2");
  FRUGAL_EXPECT_ERROR(with(2, "q8_0", "int8"), invalid,
                      "need weights on grid int8:row, found q8_0");
  FRUGAL_EXPECT_ERROR(with(2, "int8:row", "int8"), absl::StatusCode::kDataLoss, "stored as F32");
}

TEST_F(CheckpointTest, HashFollowsContentNotSharding) {
  const auto hash = [](const fs::path& path) {
    return Checkpoint::open(path).value().content_hash().value();
  };
  const std::string first = hash(folder());
  EXPECT_EQ(first.size(), 32u);
  const frugal::test::TemporaryFolder sharded;
  FRUGAL_ASSERT_OK(test::write_model(sharded.path(), test::tiny_config(), DType::kF32, 10000));
  EXPECT_TRUE(fs::exists(sharded.path() / "model.safetensors.index.json"));
  EXPECT_EQ(hash(sharded.path()), first);
  test::write_text(folder() / "tokenizer.json", "{}");
  const std::string with_tokenizer = hash(folder());
  EXPECT_NE(with_tokenizer, first);
  test::write_text(folder() / "notes.txt", "not part of the model");
  EXPECT_EQ(hash(folder()), with_tokenizer);
  edit_weights([](Tensors& tensors) { tensors["model.norm.weight"].bytes[0] ^= std::byte{1}; });
  EXPECT_NE(hash(folder()), with_tokenizer);
}

class ShardedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    FRUGAL_ASSERT_OK(test::write_model(folder(), test::tiny_config(), DType::kF32, 20000));
    index_ = base::read_json(folder() / "model.safetensors.index.json").value();
  }
  const fs::path& folder() const { return folder_.path(); }
  absl::Status with(const Json& index) {
    test::write_text(folder() / "model.safetensors.index.json", index.dump());
    return Checkpoint::open(folder()).status();
  }
  frugal::test::TemporaryFolder folder_;
  Json index_;
};

TEST_F(ShardedTest, MissingShardIsNamed) {
  FRUGAL_EXPECT_OK(Checkpoint::open(folder()));
  const std::string shard = index_["weight_map"]["model.norm.weight"];
  fs::remove(folder() / shard);
  const absl::Status status = Checkpoint::open(folder()).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr(shard));
  EXPECT_FALSE(status.ok());
}

TEST_F(ShardedTest, IndexAndShardsMustAgreeBothWays) {
  Json changed = index_;
  changed["weight_map"]["ghost"] = index_["weight_map"]["model.norm.weight"];
  FRUGAL_EXPECT_ERROR(with(changed), absl::StatusCode::kDataLoss,
                      "tensor 'ghost' should be in shard");
  changed = index_;
  changed["weight_map"].erase("model.norm.weight");
  FRUGAL_EXPECT_ERROR(with(changed), absl::StatusCode::kDataLoss,
                      "holds tensor 'model.norm.weight', which the index does not list");
  changed = index_;
  changed["weight_map"]["model.norm.weight"] = index_["weight_map"]["model.embed_tokens.weight"];
  FRUGAL_EXPECT_ERROR(with(changed), absl::StatusCode::kDataLoss, "which the index places in");
}

TEST_F(ShardedTest, IndexMayNotLeaveTheFolder) {
  for (const Json& name :
       std::vector<Json>{"../x.safetensors", "/etc/passwd", "a/b", "..", "", 7}) {
    Json changed = index_;
    changed["weight_map"]["model.norm.weight"] = name;
    FRUGAL_EXPECT_ERROR(with(changed), absl::StatusCode::kInvalidArgument,
                        "the bare name of a file");
  }
  FRUGAL_EXPECT_ERROR(with({{"weight_map", Json::object()}}), absl::StatusCode::kInvalidArgument,
                      "at least one");
}

TEST_F(ShardedTest, TwoSetsOfWeightsAreRefused) {
  test::write_text(folder() / "model.safetensors", "x");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(folder()), absl::StatusCode::kInvalidArgument, "both");
}

TEST(Checkpoint, RealModelsOpen) {
  FRUGAL_SHARED_DATA_OR_SKIP(stories, "stories260K/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(novels, "novels-7m/hf");
  FRUGAL_SHARED_DATA_OR_SKIP(babyllama, "babyllama-tok105/hf");
  for (const auto& [path, parameters] : std::vector<std::pair<fs::path, int64_t>>{
           {stories, 260032}, {novels, 7344384}, {babyllama, 936448}}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(path));
    EXPECT_EQ(checkpoint.config().parameter_count(), parameters);
    for (const std::string& name : checkpoint.tensor_names())
      FRUGAL_EXPECT_OK(checkpoint.values(name));
    FRUGAL_EXPECT_OK(checkpoint.content_hash());
  }
}

}  // namespace
}  // namespace frugal::format
