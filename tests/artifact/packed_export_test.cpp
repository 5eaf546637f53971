// Packed folders come back by the importer as the very codes and scales.
#include "artifact/packed/packed_export.h"

#include <gtest/gtest.h>

#include "artifact/exact_layout.h"
#include "artifact/importer.h"
#include "base/file.h"
#include "format/checkpoint_files.h"
#include "format/metadata.h"
#include "grid_checkpoint.h"
#include "support/toy_checkpoint.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;
using architecture::Role;
using architecture::Tensor;
using base::Json;
using format::Activations;
using format::Checkpoint;
using format::DType;
using test::TemporaryFolder;

Checkpoint toy(const fs::path& folder, bool tied = false) {
  return test::toy_checkpoint(folder, {.layers = 2, .width = 128, .neurons = 256, .tied = tied});
}

const Exporter& exporter(const char* name) { return *find_exporter(name); }

// Written, read back, and imported again into folder / "back".
Checkpoint there_and_back(const char* format, const Checkpoint& source, const fs::path& folder,
                          const ExportOptions& options = {}) {
  const fs::path out = folder / "out";
  FRUGAL_EXPECT_OK(write_artifact(exporter(format), source, options, out, true));
  fs::create_directories(folder / "back");
  FRUGAL_EXPECT_OK(kPackedImporter.write(out, folder / "back").status());
  return Checkpoint::open(folder / "back").value();
}

void expect_same(const Checkpoint& found, const Checkpoint& source, const std::string& grid) {
  for (const std::string& name : source.tensor_names()) {
    SCOPED_TRACE(name);
    const auto entry = source.quantized().find(name);
    if (entry == source.quantized().end()) {
      EXPECT_EQ(found.info(name)->dtype, source.info(name)->dtype);
      EXPECT_EQ(found.values(name).value(), source.values(name).value());
      continue;
    }
    ASSERT_TRUE(found.quantized().contains(name));
    EXPECT_EQ(found.quantized().at(name).grid, grid);
    EXPECT_EQ(found.quantized().at(name).activations, entry->second.activations);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto target, grid::find_grid(grid, entry->second.columns));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto expected,
                                move_exactly(source.codes(name).value(), target));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto codes, found.codes(name));
    EXPECT_EQ(codes.codes, expected.codes);
    EXPECT_EQ(codes.parameters, expected.parameters);
  }
}

Json settings_of(const fs::path& folder) {
  return base::read_json(folder / "config.json").value().at("quantization_config");
}

struct Scheme {
  OnGrid on;
  std::string back;    // the grid that the import finds
  std::string format;  // of compressed-tensors
  DType dtype = DType::kF32;
};

TEST(CompressedTensorsExporter, EverySchemeComesBackAsItWas) {
  for (const Scheme& scheme : std::vector<Scheme>{
           {{"int4:g32"}, "int4:g32", "pack-quantized"},
           {{"int4:g64"}, "int4:g64", "pack-quantized", DType::kBF16},
           {{"int4:row"}, "int4:row", "pack-quantized", DType::kF16},
           {{"int4:g32:asym"}, "int4:g32:asym", "pack-quantized", DType::kBF16},
           {{"int4:row:asym"}, "int4:row:asym", "pack-quantized"},
           {{"int8:g32"}, "int8:g32", "pack-quantized"},
           {{"int8:row:asym"}, "int8:row:asym", "pack-quantized"},
           {{"int2:g32:asym"}, "int2:g32:asym", "pack-quantized"},
           {{"int3:g64"}, "int3:g64", "pack-quantized"},
           {{"q4_0"}, "int4:g32", "pack-quantized"},
           {{"q8_0"}, "int8:g32", "pack-quantized", DType::kBF16},
           {{"int8:row", Activations::kInt8}, "int8:row", "int-quantized", DType::kBF16},
           {{"fp8:row"}, "fp8:row", "float-quantized", DType::kBF16},
           {{"fp8:g64"}, "fp8:g64", "float-quantized"},
           {{"nvfp4"}, "nvfp4", "nvfp4-pack-quantized", DType::kBF16},
           {{"nvfp4:e-2"}, "nvfp4:e-2", "nvfp4-pack-quantized"},
           {{"mxfp4"}, "mxfp4", "mxfp4-pack-quantized", DType::kBF16}}) {
    SCOPED_TRACE(scheme.on.grid);
    const TemporaryFolder folder;
    const Checkpoint source =
        layers_on(toy(folder.path() / "toy"), folder.path() / "source", scheme.on, scheme.dtype);
    const Checkpoint found = there_and_back("compressed_tensors", source, folder.path());
    expect_same(found, source, scheme.back);
    const Json settings = settings_of(folder.path() / "out");
    EXPECT_EQ(settings.at("format"), scheme.format);
    EXPECT_EQ(settings.at("config_groups").size(), 1u);
    EXPECT_EQ(settings.at("config_groups").at("group_0").at("targets"), Json({"Linear"}));
    EXPECT_EQ(settings.at("ignore"), Json({"lm_head"}));
    const auto weights = format::open_weights(folder.path() / "out").value();
    const StoredTensors tensors(weights, "out");
    const std::map<std::string, DType> of_one_byte = {{"nvfp4-pack-quantized", DType::kF8E4M3},
                                                      {"mxfp4-pack-quantized", DType::kU8}};
    const auto byte = of_one_byte.find(scheme.format);
    const DType wide = scheme.dtype == DType::kF32 ? DType::kF32 : DType::kF16;
    EXPECT_EQ(tensors.find("model.layers.0.mlp.up_proj.weight_scale")->dtype,
              byte == of_one_byte.end() ? wide : byte->second);
  }
}

// Five bits have no grid on the way back: the numbers come.
TEST(CompressedTensorsExporter, FiveBitsComeBackDecoded) {
  const TemporaryFolder folder;
  const Checkpoint source =
      layers_on(toy(folder.path() / "toy"), folder.path() / "source", {"q5_0"});
  const Checkpoint found = there_and_back("compressed_tensors", source, folder.path());
  for (const std::string& name : source.tensor_names())
    EXPECT_EQ(found.values(name).value(), source.values(name).value()) << name;
}

TEST(CompressedTensorsExporter, MixedGridsAreGroupsThatNameTheirModules) {
  const TemporaryFolder folder;
  const Checkpoint source = on_grids(
      toy(folder.path() / "toy"), folder.path() / "source", DType::kBF16, [](const Tensor& tensor) {
        if (tensor.role == Role::kDown) return OnGrid{"int8:row", Activations::kInt8};
        if (tensor.role == Role::kQuery || tensor.role == Role::kHead) return OnGrid{"fp8:row"};
        return tensor.is_stage_matrix() && tensor.layer == 0 ? OnGrid{"int4:g32:asym"} : OnGrid{};
      });
  const Checkpoint found = there_and_back("compressed_tensors", source, folder.path());
  ASSERT_EQ(found.quantized().size(), source.quantized().size());
  for (const auto& [name, entry] : source.quantized()) {
    EXPECT_EQ(found.quantized().at(name).grid, entry.grid) << name;
    EXPECT_EQ(found.codes(name)->codes, source.codes(name)->codes) << name;
    EXPECT_EQ(found.codes(name)->parameters, source.codes(name)->parameters) << name;
  }
  const Json settings = settings_of(folder.path() / "out");
  EXPECT_EQ(settings.at("format"), "mixed-precision");
  EXPECT_EQ(settings.at("config_groups").size(), 3u);
  EXPECT_EQ(settings.at("ignore").size(), 5u);  // the second layer's, but query and down
}

TEST(GptqExporter, EverySchemeComesBackAsItWas) {
  for (const char* grid : {"int4:g32", "int4:g64:asym", "int4:row", "int2:g32:asym", "int2:g64",
                           "int3:g32", "int3:g32:asym", "int8:g32", "int8:row:asym", "q4_0"}) {
    for (const int64_t version : {1, 2}) {
      SCOPED_TRACE(base::str_cat(grid, " version ", version));
      const TemporaryFolder folder;
      const Checkpoint source =
          layers_on(toy(folder.path() / "toy"), folder.path() / "source", {grid}, DType::kBF16);
      const Checkpoint found =
          there_and_back("gptq", source, folder.path(), {.gptq_version = version});
      expect_same(found, source, std::string(grid) == "q4_0" ? "int4:g32" : grid);
      const Json settings = settings_of(folder.path() / "out");
      EXPECT_EQ(settings.at("checkpoint_format"), version == 1 ? "gptq" : "gptq_v2");
      EXPECT_EQ(base::read_json(folder.path() / "out" / "quantize_config.json").value(), settings);
    }
  }
}

TEST(GptqExporter, ModulesOfOtherWidthsHaveSettingsOfTheirOwn) {
  const TemporaryFolder folder;
  const Checkpoint source = on_grids(
      toy(folder.path() / "toy"), folder.path() / "source", DType::kF16, [](const Tensor& tensor) {
        if (tensor.role == Role::kDown) return OnGrid{"int8:row"};
        if (tensor.role == Role::kQuery) return OnGrid{};
        return tensor.is_stage_matrix() ? OnGrid{"int4:g32:asym"} : OnGrid{};
      });
  const Checkpoint found = there_and_back("gptq", source, folder.path());
  for (const auto& [name, entry] : source.quantized()) {
    EXPECT_EQ(found.quantized().at(name).grid, entry.grid) << name;
    EXPECT_EQ(found.codes(name)->codes, source.codes(name)->codes) << name;
    EXPECT_EQ(found.codes(name)->parameters, source.codes(name)->parameters) << name;
  }
  const Json settings = settings_of(folder.path() / "out");
  EXPECT_EQ(settings.at("sym"), false);
  EXPECT_EQ(settings.at("bits"), 4);
  const Json& dynamic = settings.at("dynamic");
  EXPECT_EQ(dynamic.at("+:^model\\.layers\\.1\\.mlp\\.down_proj$").at("bits"), 8);
  EXPECT_TRUE(dynamic.contains("-:^model\\.layers\\.0\\.self_attn\\.q_proj$"));
}

// One module of the file holds query, key and value; another gate and up.
TEST(PackedExport, FusedModulesArePackedAsOne) {
  const TemporaryFolder folder;
  architecture::ModelConfig config = test::toy_config(
      {.layers = 1, .width = 128, .neurons = 256, .vocabulary = test::kToyVocabulary});
  config.architecture = "Phi3ForCausalLM";
  config.model_type = "phi3";
  const Checkpoint phi =
      test::save_toy(model::Decoder::create(config, 1, at::kCPU).value(), folder.path() / "phi");
  for (const char* format : {"compressed_tensors", "gptq"}) {
    const Checkpoint source =
        layers_on(phi, folder.path() / base::str_cat(format, "-source"), {"int4:g32:asym"});
    fs::create_directories(folder.path() / format);
    const Checkpoint found = there_and_back(format, source, folder.path() / format);
    expect_same(found, source, "int4:g32:asym");
    const auto weights = format::open_weights(folder.path() / format / "out").value();
    for (const auto& [name, shard] : weights.shard_of)
      EXPECT_EQ(name.find("q_proj"), std::string::npos) << name;
  }
  const Checkpoint mixed =
      on_grids(phi, folder.path() / "mixed", DType::kF32, [](const Tensor& tensor) {
        if (tensor.role == Role::kKey) return OnGrid{"int8:g32"};
        return tensor.is_stage_matrix() ? OnGrid{"int4:g32"} : OnGrid{};
      });
  std::vector<std::string> warnings;
  FRUGAL_EXPECT_ERROR(exporter("gptq").check(format::metadata_of(mixed), {}, warnings),
                      absl::StatusCode::kInvalidArgument, "both are rows of one module");
}

TEST(PackedExport, ATiedHeadIsIgnoredAndAnEmbeddingOnAGridIsDecoded) {
  const TemporaryFolder folder;
  const Checkpoint source =
      on_grids(toy(folder.path() / "toy", true), folder.path() / "source", DType::kBF16,
               [](const Tensor& tensor) {
                 if (tensor.role == Role::kEmbedding) return OnGrid{"q8_0"};
                 return tensor.is_stage_matrix() ? OnGrid{"int4:g32"} : OnGrid{};
               });
  std::vector<std::string> warnings;
  FRUGAL_ASSERT_OK(exporter("compressed_tensors").check(format::metadata_of(source), {}, warnings));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], testing::HasSubstr("decoded to fp32"));
  const Checkpoint found = there_and_back("compressed_tensors", source, folder.path());
  const std::string embedding = "model.embed_tokens.weight";
  EXPECT_EQ(found.info(embedding)->dtype, DType::kF32);
  EXPECT_EQ(found.values(embedding).value(), source.values(embedding).value());
  EXPECT_EQ(settings_of(folder.path() / "out").at("ignore"), Json({"lm_head"}));
}

// Its default is seldom that of the layers, and few loaders take two schemes.
TEST(PackedExport, AHeadOnAGridOfItsOwnIsDecoded) {
  for (const char* grid : {"iq4_nl", "int8:g32"}) {
    SCOPED_TRACE(grid);
    const TemporaryFolder folder;
    const Checkpoint source =
        on_grids(toy(folder.path() / "toy"), folder.path() / "source", DType::kBF16,
                 [&](const Tensor& tensor) {
                   if (tensor.role == Role::kHead) return OnGrid{grid};
                   return tensor.is_stage_matrix() ? OnGrid{"q4_0"} : OnGrid{};
                 });
    std::vector<std::string> warnings;
    FRUGAL_ASSERT_OK(
        exporter("compressed_tensors").check(format::metadata_of(source), {}, warnings));
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_THAT(warnings[0], testing::HasSubstr("head: keep"));
    const Checkpoint found = there_and_back("compressed_tensors", source, folder.path());
    EXPECT_EQ(found.info("lm_head.weight")->dtype, DType::kF32);
    EXPECT_EQ(found.values("lm_head.weight").value(), source.values("lm_head.weight").value());
  }
}

TEST(PackedExport, TheModelsOwnFilesTravel) {
  const TemporaryFolder folder;
  const Checkpoint made = toy(folder.path() / "toy");
  FRUGAL_ASSERT_OK(
      base::write_file_atomically(folder.path() / "toy" / "generation_config.json", "{}\n"));
  FRUGAL_ASSERT_OK(
      base::write_file_atomically(folder.path() / "toy" / "chat_template.jinja", "{{ x }}"));
  const Checkpoint source = layers_on(made, folder.path() / "source", {"int4:g32"});
  for (const char* format : {"compressed_tensors", "gptq"}) {
    const fs::path out = folder.path() / format;
    FRUGAL_ASSERT_OK(write_artifact(exporter(format), source, {}, out, true));
    for (const fs::path& file : source.side_files())
      EXPECT_EQ(base::read_file(out / file.filename()).value(), base::read_file(file).value());
    EXPECT_TRUE(fs::exists(out / "chat_template.jinja"));
    const Json config = base::read_json(out / "config.json").value();
    EXPECT_FALSE(config.contains("frugal"));
    EXPECT_EQ(config.at("torch_dtype"), "float32");
  }
}

TEST(PackedExport, LargeModelsLieInShards) {
  const TemporaryFolder folder;
  const Checkpoint source =
      layers_on(toy(folder.path() / "toy"), folder.path() / "source", {"int4:g32"});
  const fs::path out = folder.path() / "out";
  fs::create_directories(out);
  const ExportOptions options{.max_shard_bytes = 100'000};
  FRUGAL_ASSERT_OK(write_packed_folder(kCompressedTensorsMethod, source, options, out));
  FRUGAL_ASSERT_OK(read_back_packed(kCompressedTensorsMethod, source, options, out));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto weights, format::open_weights(out));
  EXPECT_GT(weights.shards.size(), 3u);
  EXPECT_TRUE(fs::exists(out / "model.safetensors.index.json"));
}

TEST(PackedExport, RefusesFromMetadataWhatTheFormatsCannotSay) {
  const TemporaryFolder folder;
  const Checkpoint source = toy(folder.path() / "toy");
  struct Case {
    const char* format;
    OnGrid on;
    std::string says;
  };
  for (const Case& test :
       std::vector<Case>{{"compressed_tensors", {"q4_1"}, "no multiple of the scale"},
                         {"compressed_tensors", {"iq4_nl"}, "no consecutive integers"},
                         {"compressed_tensors", {"nf4"}, "grid nf4"},
                         {"compressed_tensors", {""}, "nothing to pack"},
                         {"gptq", {""}, "nothing to pack"},
                         {"gptq", {"fp8:row"}, "integers alone; export to compressed_tensors"},
                         {"gptq", {"q5_0"}, "not 5"},
                         {"gptq", {"nvfp4"}, "integers alone; export to compressed_tensors"},
                         {"compressed_tensors", {"q2_0"}, "around another number than zero"},
                         {"gptq", {"int8:row", Activations::kInt8}, "rounded to int8 per token"}}) {
    SCOPED_TRACE(test.says);
    format::ModelInfo model = format::metadata_of(source);
    const std::string down = "model.layers.0.mlp.down_proj.weight";
    if (!test.on.grid.empty()) model.grids[down] = test.on.grid;
    if (test.on.activations != Activations::kFloat) model.activations[down] = test.on.activations;
    std::vector<std::string> warnings;
    const absl::Status status = exporter(test.format).check(model, {}, warnings);
    FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, test.says);
    FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, test.format);
    if (!test.on.grid.empty())
      FRUGAL_EXPECT_ERROR(status, absl::StatusCode::kInvalidArgument, down);
  }
  format::ModelInfo gpt2;
  gpt2.config = test::toy_gpt2_config();
  for (const Tensor& tensor : architecture::tensors(gpt2.config)) {
    if (tensor.role == Role::kDown) gpt2.grids[tensor.name] = "int4:g32";
  }
  std::vector<std::string> warnings;
  FRUGAL_EXPECT_ERROR(exporter("compressed_tensors").check(gpt2, {}, warnings),
                      absl::StatusCode::kInvalidArgument, "Conv1D");
}

TEST(PackedExport, AFoldersSizeIsKnownBefore) {
  const TemporaryFolder folder;
  const Checkpoint made = toy(folder.path() / "toy");
  for (const char* format : {"compressed_tensors", "gptq"}) {
    const Checkpoint source =
        layers_on(made, folder.path() / base::str_cat(format, "-source"), {"int4:g32:asym"});
    format::ModelInfo model = format::metadata_of(source);
    int64_t written = 0;
    for (const fs::path& file : source.side_files())
      model.side_bytes += static_cast<int64_t>(fs::file_size(file));
    const fs::path out = folder.path() / format;
    FRUGAL_ASSERT_OK(write_artifact(exporter(format), source, {}, out, false));
    for (const auto& entry : fs::directory_iterator(out))
      written += static_cast<int64_t>(entry.file_size());
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Forecast forecast, exporter(format).forecast(model, {}));
    EXPECT_NEAR(static_cast<double>(forecast.bytes), static_cast<double>(written),
                0.01 * static_cast<double>(written));
  }
}

}  // namespace
}  // namespace frugal::artifact
