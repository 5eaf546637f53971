#include "artifact/huggingface/plain_model.h"

#include <gtest/gtest.h>

#include <map>

#include "architecture/tensors.h"
#include "base/file.h"
#include "support/quantized_matrix.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;
namespace fs = std::filesystem;

// `source` again, its matrices of `role` on a grid and everything else bf16.
format::Checkpoint quantized(const format::Checkpoint& source, architecture::Role role,
                             const fs::path& folder) {
  fs::create_directories(folder);
  std::vector<format::CheckpointWriter::Tensor> tensors;
  std::map<std::string, grid::QuantizedMatrix> matrices;
  for (const architecture::Tensor& tensor : architecture::tensors(source.config())) {
    tensors.push_back(
        {.name = tensor.name, .dtype = format::DType::kBF16, .shape = tensor.shape, .grid = {}});
    if (tensor.role != role) continue;
    tensors.back().grid = "q8_0";
    matrices.emplace(tensor.name, random_matrix("q8_0", tensor.shape[0], tensor.shape[1]));
  }
  auto writer = format::CheckpointWriter::create(folder, source.config(), tensors).value();
  for (const auto& tensor : tensors) {
    FRUGAL_EXPECT_OK(tensor.grid ? writer.write_codes(tensor.name, matrices.at(tensor.name))
                                 : writer.write_values(tensor.name, *source.values(tensor.name)));
  }
  FRUGAL_EXPECT_OK(writer.copy_side_files(source));
  FRUGAL_EXPECT_OK(writer.finish());
  return format::Checkpoint::open(folder).value();
}

void expect_same_values(const format::Checkpoint& plain, const format::Checkpoint& source) {
  for (const std::string& name : source.tensor_names())
    EXPECT_EQ(plain.values(name).value(), source.values(name).value()) << name;
}

TEST(PlainModel, DecodesGridsToFloatAndKeepsTheRestAsStored) {
  const TemporaryFolder folder;
  const format::Checkpoint toy = toy_checkpoint(folder.path() / "toy", {.layers = 2});
  const format::Checkpoint source =
      quantized(toy, architecture::Role::kDown, folder.path() / "quantized");
  ASSERT_EQ(source.quantized().size(), 2u);
  fs::create_directories(folder.path() / "plain");
  FRUGAL_ASSERT_OK(write_plain_folder(source, folder.path() / "plain"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint plain,
                              format::Checkpoint::open(folder.path() / "plain"));
  EXPECT_TRUE(plain.quantized().empty());
  EXPECT_EQ(plain.config().layers, source.config().layers);
  expect_same_values(plain, source);
  for (const std::string& name : source.tensor_names()) {
    const auto expected =
        source.quantized().contains(name) ? format::DType::kF32 : format::DType::kBF16;
    EXPECT_EQ(plain.info(name)->dtype, expected) << name;
  }
  // The tokenizer comes along; nothing says that a grid was ever there.
  for (const fs::path& file : source.side_files())
    EXPECT_EQ(base::read_file(folder.path() / "plain" / file.filename()).value(),
              base::read_file(file).value());
  const std::string config = base::read_file(folder.path() / "plain" / "config.json").value();
  EXPECT_EQ(config.find("quantization_config"), std::string::npos);
  EXPECT_EQ(config.find("q8_0"), std::string::npos);
}

// Query on a grid, key and value as stored: they are one tensor in the family's form, of one type
// that holds all three.
TEST(PlainModel, FusedPartsOfTwoTypesAreWidened) {
  const TemporaryFolder folder;
  architecture::ModelConfig config = toy_config({.layers = 1, .vocabulary = kToyVocabulary});
  config.architecture = "Phi3ForCausalLM";
  config.model_type = "phi3";
  const format::Checkpoint phi =
      save_toy(model::Decoder::create(config, 1, at::kCPU).value(), folder.path() / "phi");
  const format::Checkpoint source =
      quantized(phi, architecture::Role::kQuery, folder.path() / "quantized");
  fs::create_directories(folder.path() / "plain");
  FRUGAL_ASSERT_OK(write_plain_folder(source, folder.path() / "plain"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint plain,
                              format::Checkpoint::open(folder.path() / "plain"));
  expect_same_values(plain, source);
  EXPECT_TRUE(plain.quantized().empty());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto file, format::SafetensorsFile::open(
                                                   folder.path() / "plain" / "model.safetensors"));
  bool fused = false;
  for (const auto& [name, tensor] : file.tensors()) {
    EXPECT_EQ(name.find("q_proj"), std::string::npos) << name;
    if (!name.ends_with("qkv_proj.weight")) continue;
    fused = true;
    EXPECT_EQ(tensor.dtype, format::DType::kF32);
  }
  EXPECT_TRUE(fused);
}

TEST(PlainModel, AFolderThatCannotBeWrittenIsAnError) {
  const TemporaryFolder folder;
  const format::Checkpoint toy = toy_checkpoint(folder.path() / "toy", {.layers = 1});
  const absl::Status status = write_plain_folder(toy, folder.path() / "absent" / "plain");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("absent"), std::string::npos) << status;
}

}  // namespace
}  // namespace frugal::artifact
