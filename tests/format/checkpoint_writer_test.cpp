#include <gtest/gtest.h>

#include <cmath>

#include "format/checkpoint.h"
#include "format/tiny_model.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& item : fs::directory_iterator(folder))
    names.push_back(item.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status write_all(CheckpointWriter& writer,
                       const std::vector<CheckpointWriter::Tensor>& tensors) {
  for (const auto& tensor : tensors) {
    const auto values = test::random_values(tensor.name, test::element_count(tensor.shape));
    if (tensor.grid) {
      FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(*tensor.grid, tensor.shape[1]));
      FRUGAL_ASSIGN_OR_RETURN(
          const auto matrix,
          grid::round_to_nearest(grid, values.data(), tensor.shape[0], tensor.shape[1], {}, false));
      FRUGAL_RETURN_IF_ERROR(writer.write_codes(tensor.name, matrix));
    } else {
      FRUGAL_RETURN_IF_ERROR(writer.write_values(tensor.name, values));
    }
  }
  return absl::OkStatus();
}

TEST(CheckpointWriter, NothingStandsUnderItsNameBeforeFinish) {
  const frugal::test::TemporaryFolder folder;
  const auto tensors = test::declarations(test::tiny_config(), DType::kF32);
  {
    FRUGAL_ASSERT_OK_AND_ASSIGN(
        auto writer, CheckpointWriter::create(folder.path(), test::tiny_config(), tensors, 20000));
    FRUGAL_ASSERT_OK(write_all(writer, tensors));
    for (const std::string& name : files_in(folder.path())) {
      EXPECT_FALSE(name.ends_with(".safetensors") || name.ends_with(".json")) << name;
    }
  }
  EXPECT_THAT(files_in(folder.path()), ::testing::IsEmpty());
}

TEST(CheckpointWriter, ShardsCarryEverythingOnce) {
  const frugal::test::TemporaryFolder folder;
  FRUGAL_ASSERT_OK(test::write_model(folder.path(), test::tiny_config(), DType::kBF16, 16384));
  EXPECT_TRUE(fs::exists(folder.path() / "model-00001-of-00003.safetensors"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json index,
                              base::read_json(folder.path() / "model.safetensors.index.json"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  EXPECT_EQ(index["metadata"]["total_size"], checkpoint.weight_bytes());
  EXPECT_EQ(checkpoint.config().source["torch_dtype"], "bfloat16");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto values, checkpoint.values("model.norm.weight"));
  const auto written = test::random_values("model.norm.weight", 32);
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], bf16_to_f32(f32_to_bf16(written[i])));
}

TEST(CheckpointWriter, ActivationsTravel) {
  const frugal::test::TemporaryFolder folder;
  auto tensors = test::declarations(test::tiny_config(), DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.name.find("mlp.") == std::string::npos) continue;
    tensor.grid = "int8:row";
    if (tensor.name.find("down") == std::string::npos) tensor.activations = Activations::kInt8;
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, CheckpointWriter::create(folder.path(), test::tiny_config(), tensors));
  FRUGAL_ASSERT_OK(write_all(writer, tensors));
  FRUGAL_ASSERT_OK(writer.finish());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  EXPECT_EQ(checkpoint.config().source["frugal"]["version"], 2);
  EXPECT_EQ(checkpoint.quantized().at("model.layers.0.mlp.up_proj.weight").activations,
            Activations::kInt8);
  EXPECT_EQ(checkpoint.quantized().at("model.layers.0.mlp.down_proj.weight").activations,
            Activations::kFloat);
  // Written again in full precision, version 1 says it all.
  const frugal::test::TemporaryFolder plain;
  FRUGAL_ASSERT_OK(test::write_model(plain.path(), checkpoint.config(), DType::kF32));
  EXPECT_EQ(Checkpoint::open(plain.path()).value().config().source["frugal"]["version"], 1);

  const frugal::test::TemporaryFolder refused;
  for (auto& tensor : tensors) {
    if (tensor.name.find("down") == std::string::npos) continue;
    tensor.grid.reset();
    tensor.activations = Activations::kInt8;
  }
  FRUGAL_EXPECT_ERROR(CheckpointWriter::create(refused.path(), test::tiny_config(), tensors),
                      absl::StatusCode::kInvalidArgument, "is not quantized");
}

TEST(CheckpointWriter, QuantizedTensorsKeepTheirCodes) {
  const frugal::test::TemporaryFolder folder;
  auto tensors = test::declarations(test::tiny_config(), DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.name.find("mlp.") != std::string::npos) tensor.grid = "q8_0";
    if (tensor.name.find("self_attn.") != std::string::npos) tensor.grid = "int4:g16:asym";
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, CheckpointWriter::create(folder.path(), test::tiny_config(), tensors));
  FRUGAL_ASSERT_OK(write_all(writer, tensors));
  FRUGAL_ASSERT_OK(writer.finish());

  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  EXPECT_EQ(checkpoint.config().source["quantization_config"]["quant_method"], "frugal");
  EXPECT_EQ(checkpoint.quantized().size(), 14u);
  const std::string name = "model.layers.0.mlp.down_proj.weight";
  EXPECT_EQ(checkpoint.quantized().at(name).grid, "q8_0");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const TensorInfo info, checkpoint.info(name));
  EXPECT_EQ(info.shape, (std::vector<int64_t>{32, 2 * 34}));
  const auto written = test::random_values(name, 32 * 64);
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto grid, grid::find_grid("q8_0", 64));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto expected,
                              grid::round_to_nearest(grid, written.data(), 32, 64, {}, false));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto codes, checkpoint.codes(name));
  EXPECT_EQ(codes.codes, expected.codes);
  EXPECT_EQ(codes.parameters, expected.parameters);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto values, checkpoint.values(name));
  std::vector<float> decoded(values.size());
  grid::decode_matrix(expected, decoded.data());
  EXPECT_EQ(values, decoded);
  EXPECT_LT(checkpoint.weight_bytes(), checkpoint.config().parameter_count() * 2);

  // Written again in full precision, the notes on quantization are gone and other notes stay.
  architecture::ModelConfig config = checkpoint.config();
  config.source["frugal"]["origin"] = "kept";
  const frugal::test::TemporaryFolder plain;
  FRUGAL_ASSERT_OK(test::write_model(plain.path(), config, DType::kF32));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto again, Checkpoint::open(plain.path()));
  EXPECT_TRUE(again.quantized().empty());
  EXPECT_FALSE(again.config().source.contains("quantization_config"));
  EXPECT_EQ(again.config().source["frugal"]["origin"], "kept");
}

TEST(CheckpointWriter, TensorsOfOddSizeAreAlignedAndComplete) {
  // 105 ids x 2-byte values of an odd width cannot happen in a Llama; an odd vocabulary on an odd
  // grid row can.
  architecture::ModelConfig config = test::tiny_config();
  config.vocabulary_size = 41;
  const frugal::test::TemporaryFolder folder;
  auto tensors = test::declarations(config, DType::kF32);
  for (auto& tensor : tensors) {
    if (tensor.shape.size() == 2) tensor.grid = "q4_0";  // 41 rows of 18 bytes: no multiple of 4
  }
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                              CheckpointWriter::create(folder.path(), config, tensors));
  FRUGAL_ASSERT_OK(write_all(writer, tensors));
  FRUGAL_ASSERT_OK(writer.finish());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto checkpoint, Checkpoint::open(folder.path()));
  for (const auto& tensor : tensors) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const TensorInfo info, checkpoint.info(tensor.name));
    EXPECT_EQ(info.offset % size_bytes(info.dtype), 0) << tensor.name;
    FRUGAL_EXPECT_OK(checkpoint.values(tensor.name));
  }
}

TEST(CheckpointWriter, RefusesNanAndNamesIt) {
  const frugal::test::TemporaryFolder folder;
  const auto tensors = test::declarations(test::tiny_config(), DType::kF32);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, CheckpointWriter::create(folder.path(), test::tiny_config(), tensors));
  auto values = test::random_values("w", 40 * 32);
  values[77] = std::nanf("");
  FRUGAL_EXPECT_ERROR(writer.write_values("model.embed_tokens.weight", values),
                      absl::StatusCode::kFailedPrecondition,
                      "tensor 'model.embed_tokens.weight': value 77 is NaN");
  FRUGAL_EXPECT_ERROR(writer.write("model.embed_tokens.weight", std::as_bytes(std::span(values))),
                      absl::StatusCode::kFailedPrecondition, "holds nan at element 77");
}

TEST(CheckpointWriter, RefusesWrongDeclarations) {
  const frugal::test::TemporaryFolder folder;
  const architecture::ModelConfig config = test::tiny_config();
  const auto with = [&](const std::function<void(std::vector<CheckpointWriter::Tensor>&)>& edit) {
    auto tensors = test::declarations(config, DType::kF32);
    edit(tensors);
    return CheckpointWriter::create(folder.path(), config, tensors).status();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  FRUGAL_EXPECT_ERROR(with([](auto& t) { t.pop_back(); }), invalid,
                      "'model.norm.weight' of the config is not declared");
  FRUGAL_EXPECT_ERROR(with([](auto& t) { t.push_back(t[0]); }), invalid, "declared twice");
  FRUGAL_EXPECT_ERROR(with([](auto& t) { t.push_back({"extra", DType::kF32, {1}, {}}); }), invalid,
                      "'extra'");
  FRUGAL_EXPECT_ERROR(with([](auto& t) { t[0].shape[0] = 39; }), invalid, "another shape");
  FRUGAL_EXPECT_ERROR(with([](auto& t) { t[0].dtype = DType::kI8; }), invalid, "not I8");
  FRUGAL_EXPECT_ERROR(with([](auto& t) { t[1].grid = "q4_0"; }), invalid, "only matrices");
  FRUGAL_EXPECT_ERROR(with([](auto& t) { t[0].grid = "q4_k"; }), invalid,
                      "model.embed_tokens.weight");
  EXPECT_THAT(files_in(folder.path()), ::testing::IsEmpty());
  FRUGAL_EXPECT_ERROR(CheckpointWriter::create(folder.path() / "none", config, {}),
                      absl::StatusCode::kNotFound, "no such folder");
}

TEST(CheckpointWriter, RefusesDisorder) {
  const frugal::test::TemporaryFolder folder;
  const auto tensors = test::declarations(test::tiny_config(), DType::kF32);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      auto writer, CheckpointWriter::create(folder.path(), test::tiny_config(), tensors));
  FRUGAL_EXPECT_ERROR(writer.write_values(tensors[1].name, {}), absl::StatusCode::kInternal,
                      "was declared");
  FRUGAL_EXPECT_ERROR(writer.write_values(tensors[0].name, {}), absl::StatusCode::kInvalidArgument,
                      "0 bytes");
  FRUGAL_EXPECT_ERROR(writer.finish(), absl::StatusCode::kInternal, "never written");
}

TEST(CheckpointWriter, RewritingReplacesItsOwnFilesOnly) {
  const frugal::test::TemporaryFolder folder;
  test::write_text(folder.path() / "notes.txt", "mine");
  FRUGAL_ASSERT_OK(test::write_model(folder.path(), test::tiny_config(), DType::kF32));
  FRUGAL_ASSERT_OK(test::write_model(folder.path(), test::tiny_config(), DType::kBF16));
  EXPECT_THAT(files_in(folder.path()),
              ::testing::ElementsAre("config.json", "model.safetensors", "notes.txt"));
  FRUGAL_EXPECT_ERROR(test::write_model(folder.path(), test::tiny_config(), DType::kF32, 10000),
                      absl::StatusCode::kFailedPrecondition, "already holds 'model.safetensors'");
}

TEST(CheckpointWriter, CopiesSideFiles) {
  const frugal::test::TemporaryFolder from;
  const frugal::test::TemporaryFolder to;
  FRUGAL_ASSERT_OK(test::write_model(from.path(), test::tiny_config(), DType::kF32));
  test::write_text(from.path() / "tokenizer.json", "{\"model\": 1}");
  std::filesystem::create_directory(from.path() / "additional_chat_templates");
  test::write_text(from.path() / "additional_chat_templates" / "rag.jinja", "R");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto source, Checkpoint::open(from.path()));
  const auto tensors = test::declarations(source.config(), DType::kF32);
  FRUGAL_ASSERT_OK_AND_ASSIGN(auto writer,
                              CheckpointWriter::create(to.path(), source.config(), tensors));
  FRUGAL_ASSERT_OK(write_all(writer, tensors));
  FRUGAL_ASSERT_OK(writer.copy_side_files(source));
  FRUGAL_ASSERT_OK(writer.finish());
  EXPECT_EQ(base::read_file(to.path() / "tokenizer.json").value(), "{\"model\": 1}");
  EXPECT_EQ(base::read_file(to.path() / "additional_chat_templates" / "rag.jinja").value(), "R");
  EXPECT_EQ(Checkpoint::open(to.path()).value().content_hash().value(),
            source.content_hash().value());
}

}  // namespace
}  // namespace frugal::format
