// Folders as GPTQ, AWQ and compressed-tensors pack them (tests/golden/packed.py): what they hold
// comes to the very numbers, and what contradicts itself is refused by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>

#include "artifact/importer.h"
#include "artifact/packed/columns_layout.h"
#include "artifact/packed/layout.h"
#include "artifact/packed/packed_weights.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "format/checkpoint.h"
#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;
using base::Json;
using format::Checkpoint;
using test::TemporaryFolder;

fs::path golden(const std::string& name) {
  const char* sources = std::getenv("FRUGAL_SOURCE_DIR");
  return fs::path(sources == nullptr ? "." : sources) / "tests" / "golden" / "packed" / name;
}

std::string digest(std::vector<float> values) {
  for (float& value : values) {
    if (value == 0) value = 0;  // the sign of zero is not kept
  }
  return base::sha256(std::as_bytes(std::span(values)));
}

absl::StatusOr<std::vector<std::string>> import_to(const fs::path& from, const fs::path& to) {
  fs::create_directories(to);
  return kPackedImporter.write(from, to);
}

const std::string kDown = "model.layers.0.mlp.down_proj.weight";
const std::string kQuery = "model.layers.0.self_attn.q_proj.weight";

struct Golden {
  std::string name;
  std::string grid;  // of packed matrices; empty: decoded
  std::string says;  // in the lines of the import
};

std::vector<Golden> goldens() {
  return {{"gptq-v1", "int4:g16", "codes as they are: 7 int4:g16"},
          {"gptq-v1-asym", "int4:g16:asym", "packed as gptq"},
          {"gptq-v2-asym", "int4:g16:asym", "codes as they are: 7 int4:g16:asym"},
          {"gptq-order", "", "decoded to F32: 7, as its groups are not neighboring columns"},
          {"gptq-2bit", "int2:g16:asym", "7 int2:g16:asym"},
          {"gptq-3bit", "int3:g16:asym", "7 int3:g16:asym"},
          {"gptq-8bit-row", "int8:row", "codes as they are: 6 int8:row"},
          {"gptq-fused", "int4:g16:asym", "codes as they are: 7 int4:g16:asym"},
          {"awq", "int4:g16:asym", "packed as awq"},
          {"awq-mixed", "int4:g16:asym", "codes as they are: 6 int4:g16:asym"},
          {"ct-w4", "int4:g16", "packed as compressed-tensors"},
          {"ct-w4-asym", "int4:g16:asym", "7 int4:g16:asym"},
          {"ct-w4-order", "", "decoded to F32: 7, as its groups are not neighboring columns"},
          {"ct-w8-channel", "int8:row", "codes as they are: 6 int8:row"},
          {"ct-w3", "int3:g16:asym", "7 int3:g16:asym"},
          {"ct-w6", "", "decoded to F32: 7, as integers of 6 bits have no grid"},
          {"ct-f32-scales", "", "decoded to F32: 7, as some of its scales are no fp16 numbers"},
          {"ct-int8", "int8:row", "inputs of 7 matrices are rounded to int8 per token"},
          {"ct-int8-asym", "int8:row:asym", "7 int8:row:asym"},
          {"ct-fp8-channel", "fp8:row", "7 fp8:row"},
          {"ct-fp8-tensor", "fp8:row", "7 fp8:row"},
          {"ct-fp8-block", "fp8:g16", "7 fp8:g16"},
          {"ct-nvfp4", "", "decoded to F32: 7, as its tensor scale is no power of two"}};
}

TEST(PackedImporter, EveryGoldenIsListed) {
  std::vector<std::string> there, listed;
  for (const auto& entry : fs::directory_iterator(golden("")))
    there.push_back(entry.path().filename().string());
  for (const Golden& golden : goldens()) listed.push_back(golden.name);
  EXPECT_THAT(listed, testing::UnorderedElementsAreArray(there));
}

TEST(PackedImporter, WeightsAreTheVeryNumbers) {
  for (const Golden& one : goldens()) {
    SCOPED_TRACE(one.name);
    const TemporaryFolder folder;
    ASSERT_EQ(importer_of(golden(one.name)), &importers()[1]);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto lines, import_to(golden(one.name), folder.path()));
    EXPECT_THAT(lines, testing::Contains(testing::HasSubstr(one.says)));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found, Checkpoint::open(folder.path()));
    const Json expected = base::read_json(golden(one.name) / "expected.json").value();
    ASSERT_EQ(expected.size(), found.tensor_names().size());
    for (const auto& [name, hash] : expected.items())
      EXPECT_EQ(digest(found.values(name).value()), hash.get<std::string>()) << name;
    const auto query = found.quantized().find(kQuery);
    ASSERT_EQ(query != found.quantized().end(), !one.grid.empty());
    if (!one.grid.empty()) {
      EXPECT_EQ(query->second.grid, one.grid);
    }
    EXPECT_FALSE(found.config().source.contains("compression_config"));
    EXPECT_EQ(importer_of(folder.path()), nullptr);  // a checkpoint now
  }
}

TEST(PackedImporter, Int8InputsStayRounded) {
  const TemporaryFolder folder;
  FRUGAL_ASSERT_OK(import_to(golden("ct-int8"), folder.path()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found, Checkpoint::open(folder.path()));
  EXPECT_EQ(found.quantized().at(kQuery).activations, format::Activations::kInt8);
}

// A folder that can be changed before it is imported.
class Shop {
 public:
  explicit Shop(const std::string& name) : original_(golden(name)) {
    config = base::read_json(original_ / "config.json").value();
    file_ = format::SafetensorsFile::open(original_ / "model.safetensors").value();
    for (const auto& [tensor, info] : file_->tensors()) {
      const auto bytes = file_->bytes(info);
      tensors[tensor] = {info.dtype, info.shape, {bytes.begin(), bytes.end()}};
    }
  }

  struct Tensor {
    format::DType dtype;
    std::vector<int64_t> shape;
    std::vector<std::byte> bytes;
  };
  Json config;
  std::map<std::string, Tensor> tensors;

  Json& quantization() { return config["quantization_config"]; }
  Json& scheme() { return quantization()["config_groups"]["group_0"]; }
  void cut(const std::string& name) {  // the last row
    Tensor& tensor = tensors.at(name);
    tensor.bytes.resize(tensor.bytes.size() -
                        tensor.bytes.size() / static_cast<size_t>(tensor.shape[0]));
    --tensor.shape[0];
  }

  fs::path write() const {
    const fs::path folder = folder_.path() / "packed";
    fs::create_directories(folder);
    EXPECT_TRUE(base::write_file_atomically(folder / "config.json", config.dump()).ok());
    std::vector<format::SafetensorsWriter::Declaration> declared;
    for (const auto& [name, tensor] : tensors)
      declared.push_back({name, tensor.dtype, tensor.shape});
    auto writer =
        format::SafetensorsWriter::create(folder / "model.safetensors", declared, {}).value();
    const auto infos = writer.infos();
    for (const auto& info : infos)
      EXPECT_TRUE(writer.write(info.name, tensors.at(info.name).bytes).ok());
    EXPECT_TRUE(writer.commit().ok());
    return folder;
  }
  absl::StatusOr<Checkpoint> imported() const {
    const fs::path folder = write();
    FRUGAL_RETURN_IF_ERROR(import_to(folder, folder_.path() / "found").status());
    return Checkpoint::open(folder_.path() / "found");
  }

 private:
  TemporaryFolder folder_;
  fs::path original_;
  absl::StatusOr<format::SafetensorsFile> file_ = absl::UnknownError("");
};

const std::string kModule = "model.layers.0.self_attn.q_proj";

struct Contradiction {
  std::string golden;
  std::string says;
  std::function<void(Shop&)> change;
};

void expect_refused(const std::vector<Contradiction>& cases) {
  for (const Contradiction& test : cases) {
    Shop shop(test.golden);
    test.change(shop);
    const absl::Status status = shop.imported().status();
    EXPECT_FALSE(status.ok()) << test.says;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(test.says));
  }
}

TEST(PackedImporter, ContradictionsOfGptqAreNamed) {
  expect_refused({
      {"gptq-v1", "which would be 4 bits; the config's [32, 32] with 8 bits, groups of 16",
       [](Shop& s) { s.quantization()["bits"] = 8; }},
      {"gptq-v1", ".qzeros' is I32 [2, 4], but 4 bits, groups of 8",
       [](Shop& s) { s.quantization()["group_size"] = 8; }},
      {"gptq-v1", ".qzeros' is I32 [1, 4], but", [](Shop& s) { s.cut(kModule + ".qzeros"); }},
      {"gptq-v1", ".qzeros' holds the zero point 7, but 'sym' is true",
       [](Shop& s) { s.quantization()["checkpoint_format"] = "gptq_v2"; }},
      {"gptq-order", ".g_idx' is missing; 'desc_act'",
       [](Shop& s) { s.tensors.erase(kModule + ".g_idx"); }},
      {"gptq-order", "'desc_act' is false", [](Shop& s) { s.quantization()["desc_act"] = false; }},
      {"gptq-order", "to group 9, but there are 2 groups of 16",
       [](Shop& s) { s.tensors.at(kModule + ".g_idx").bytes[4] = std::byte{9}; }},
      {"gptq-v1", ".qweight' is missing, but '",
       [](Shop& s) { s.tensors.erase(kModule + ".qweight"); }},
      {"gptq-v1", ".scales' is missing; 4 bits",
       [](Shop& s) { s.tensors.erase(kModule + ".scales"); }},
      {"gptq-8bit-row", "both '",
       [](Shop& s) { s.tensors[kModule + ".weight"] = s.tensors.at(kDown); }},
      {"gptq-8bit-row", "down_proj.weight' is missing", [](Shop& s) { s.tensors.erase(kDown); }},
      {"gptq-v1", "'bits' is 5; frugal reads GPTQ of 2, 3, 4, 8",
       [](Shop& s) { s.quantization()["bits"] = 5; }},
      {"gptq-v1", "'bits'", [](Shop& s) { s.quantization().erase("bits"); }},
      {"gptq-v1", "'group_size' is 0", [](Shop& s) { s.quantization()["group_size"] = 0; }},
      {"gptq-v1", "is 'marlin'", [](Shop& s) { s.quantization()["is_marlin_format"] = true; }},
      {"gptq-v1", "'pack_dtype' is 'int64'",
       [](Shop& s) { s.quantization()["pack_dtype"] = "int64"; }},
      {"gptq-v1", "has 'sym' or 'desc_act' of its own",
       [](Shop& s) { s.quantization()["dynamic"] = {{"+:.*down.*", {{"sym", false}}}}; }},
      {"gptq-v1", "'surplus' is not one that a",
       [](Shop& s) { s.tensors["surplus"] = s.tensors.at("model.norm.weight"); }},
      {"gptq-v1", "its bias is not zero",
       [](Shop& s) { s.tensors[kModule + ".bias"] = s.tensors.at("model.norm.weight"); }},
      {"gptq-v1", "'model.norm.weight' is F16 [31]", [](Shop& s) { s.cut("model.norm.weight"); }},
      {"gptq-v1", "q_proj': its scale at row 0, group 0 is",
       [](Shop& s) { s.tensors.at(kModule + ".scales").bytes[1] = std::byte{0x7c}; }},
      {"gptq-v1", "differs from",
       [](Shop& s) {
         s.config["tie_word_embeddings"] = true;
         s.tensors.at("lm_head.weight").bytes[0] ^= std::byte{1};
       }},
  });
}

TEST(PackedImporter, ContradictionsOfAwqAreNamed) {
  expect_refused({
      {"awq", "'bits' is 8; frugal reads AWQ of 4", [](Shop& s) { s.quantization()["bits"] = 8; }},
      {"awq", "the version is 'gemv'", [](Shop& s) { s.quantization()["version"] = "GEMV"; }},
      {"awq", "'zero_point' is false", [](Shop& s) { s.quantization()["zero_point"] = false; }},
      {"awq", ".qzeros' is I32 [2, 4], but groups of 32",
       [](Shop& s) { s.quantization()["group_size"] = 32; }},
      {"awq", ".qweight' is I32 [31, 4]", [](Shop& s) { s.cut(kModule + ".qweight"); }},
      {"awq", "q_proj' is stored packed, but 'modules_to_not_convert'",
       [](Shop& s) { s.quantization()["modules_to_not_convert"] = {"q_proj"}; }},
      {"awq", "'group_size' is -2", [](Shop& s) { s.quantization()["group_size"] = -2; }},
  });
}

TEST(PackedImporter, ContradictionsOfCompressedTensorsAreNamed) {
  expect_refused({
      {"ct-w4", "_packed' is I32 [32, 4], but pack-quantized of 8 bits",
       [](Shop& s) { s.scheme()["weights"]["num_bits"] = 8; }},
      {"ct-w4", ".weight_scale' is BF16 [32, 2], but",
       [](Shop& s) { s.scheme()["weights"]["group_size"] = 8; }},
      {"ct-w4", ".weight_shape' says [33, 32], but the config demands [32, 32]",
       [](Shop& s) { s.tensors.at(kModule + ".weight_shape").bytes[0] = std::byte{33}; }},
      {"ct-w4-asym", "holds zero points, but the config says pack-quantized of 4 bits, groups",
       [](Shop& s) { s.scheme()["weights"]["symmetric"] = true; }},
      {"ct-w4", ".weight_zero_point' is missing; pack-quantized of 4 bits, with zero points",
       [](Shop& s) { s.scheme()["weights"]["symmetric"] = false; }},
      {"ct-w4-order", ".weight_g_idx' is missing",
       [](Shop& s) { s.tensors.erase(kModule + ".weight_g_idx"); }},
      {"ct-w4", "q_proj' is stored packed, but",
       [](Shop& s) { s.quantization()["ignore"] = {"lm_head", "re:.*q_proj"}; }},
      {"ct-w8-channel", "down_proj.weight' is plain F16, but",
       [](Shop& s) { s.quantization()["ignore"] = {"lm_head"}; }},
      {"ct-w4", "the format is 'mxfp6-pack-quantized'; frugal reads pack-quantized",
       [](Shop& s) { s.quantization()["format"] = "mxfp6-pack-quantized"; }},
      {"ct-w4", "symmetric floats of 4 bits (E2M1) in groups",
       [](Shop& s) { s.quantization()["format"] = "mxfp4-pack-quantized"; }},
      {"ct-w4", "'kv_cache_scheme'",
       [](Shop& s) { s.quantization()["kv_cache_scheme"] = {{"num_bits", 8}}; }},
      {"ct-fp8-channel", "it holds NaN at row 0, column 1",
       [](Shop& s) { s.tensors.at(kModule + ".weight").bytes[1] = std::byte{0x7f}; }},
      {"ct-nvfp4", "is 0.000000, expected a positive, finite number",
       [](Shop& s) {
         auto& bytes = s.tensors.at(kModule + ".weight_global_scale").bytes;
         std::fill(bytes.begin(), bytes.end(), std::byte{0});
       }},
      {"ct-nvfp4", "is inf, expected a positive, finite number",
       [](Shop& s) {
         auto& bytes = s.tensors.at(kModule + ".weight_global_scale").bytes;
         const float infinite = std::numeric_limits<float>::infinity();
         std::memcpy(bytes.data(), &infinite, sizeof infinite);
       }},
  });
}

TEST(PackedImporter, ModulesMayHaveSettingsOfTheirOwn) {
  Shop shop("gptq-v1");
  const Shop other("gptq-8bit-row");
  for (const char* part : {".qweight", ".qzeros", ".scales", ".g_idx"})
    shop.tensors[kModule + part] = other.tensors.at(kModule + part);
  shop.quantization()["dynamic"] = {{"-:.*never.*", Json::object()},
                                    {"+:.*q_proj", {{"bits", 8}, {"group_size", -1}}}};
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found, shop.imported());
  EXPECT_EQ(found.quantized().at(kQuery).grid, "int8:row");
  EXPECT_EQ(found.quantized().at(kDown).grid, "int4:g16");
}

TEST(PackedImporter, WhatSaysNothingIsLeftOut) {
  Shop shop("gptq-v1");
  Shop::Tensor bias = shop.tensors.at("model.norm.weight");
  std::fill(bias.bytes.begin(), bias.bytes.end(), std::byte{0});
  shop.tensors[kModule + ".bias"] = bias;
  shop.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = bias;
  shop.config["tie_word_embeddings"] = true;
  shop.tensors["lm_head.weight"] = shop.tensors.at("model.embed_tokens.weight");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Checkpoint found, shop.imported());
  EXPECT_TRUE(found.config().tied_embeddings);
  EXPECT_FALSE(found.has("lm_head.weight"));
  EXPECT_FALSE(found.has(kModule + ".bias"));
}

// As AutoGPTQ wrote folders before config.json had a place for it.
TEST(PackedImporter, AConfigMayBeAFileOfItsOwn) {
  Shop shop("gptq-v1");
  const Json own = shop.quantization();
  shop.config.erase("quantization_config");
  const fs::path folder = shop.write();
  EXPECT_EQ(importer_of(folder), nullptr);
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder / "quantize_config.json", own.dump()));
  EXPECT_NE(importer_of(folder), nullptr);
  const TemporaryFolder found;
  FRUGAL_ASSERT_OK(import_to(folder, found.path()));
  // Both may be there, but must agree.
  Json changed = shop.config;
  changed["quantization_config"] = own;
  changed["quantization_config"]["group_size"] = 32;
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder / "config.json", changed.dump()));
  const TemporaryFolder second;
  FRUGAL_EXPECT_ERROR(import_to(folder, second.path()), absl::StatusCode::kInvalidArgument,
                      "'group_size' is 32, but 16 in");
}

TEST(PackedImporter, SideFilesTravel) {
  const Shop shop("awq");
  const fs::path folder = shop.write();
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder / "tokenizer_config.json", "{}"));
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder / "chat_template.jinja", "{{ x }}"));
  fs::create_directory(folder / "additional_chat_templates");
  const fs::path further = fs::path("additional_chat_templates") / "rag.jinja";
  FRUGAL_ASSERT_OK(base::write_file_atomically(folder / further, "{{ y }}"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto files, importer_of(folder)->files(folder));
  EXPECT_NE(std::find(files.begin(), files.end(), folder / further), files.end());
  const TemporaryFolder found;
  FRUGAL_ASSERT_OK(import_to(folder, found.path()));
  EXPECT_EQ(base::read_file(found.path() / "chat_template.jinja").value(), "{{ x }}");
  EXPECT_EQ(base::read_file(found.path() / further).value(), "{{ y }}");
  EXPECT_TRUE(fs::exists(found.path() / "tokenizer_config.json"));
  EXPECT_FALSE(fs::exists(found.path() / "quantize_config.json"));
}

// Methods that are not read are told from those that are, wherever the folder is given.
TEST(PackedImporter, OtherMethodsAreNamed) {
  for (const char* method : {"bitsandbytes", "fp8", "mxfp4", "hqq"}) {
    Shop shop("gptq-v1");
    shop.quantization() = {{"quant_method", method}};
    const fs::path folder = shop.write();
    EXPECT_EQ(importer_of(folder), nullptr);
    const absl::Status status = explain_no_importer(folder);
    EXPECT_THAT(std::string(status.message()),
                testing::AllOf(testing::HasSubstr(method),
                               testing::HasSubstr("gptq, awq, compressed-tensors"),
                               testing::HasSubstr("unquantized model")));
  }
  const Shop shop("ct-w4");
  FRUGAL_EXPECT_ERROR(Checkpoint::open(shop.write()), absl::StatusCode::kUnimplemented,
                      "imported first: frugal import");
}

TEST(PackedImporter, AnInterruptionLeavesNoCheckpoint) {
  const TemporaryFolder folder;
  base::request_interrupt();
  const absl::Status status = import_to(golden("gptq-v1"), folder.path()).status();
  base::clear_interrupt();
  EXPECT_TRUE(base::is_interrupted(status)) << status;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(PackedImporter, MatricesThatLieTransposedAreRefused) {
  Shop shop("gptq-v1");
  const Json quantization = shop.quantization();
  shop.config = {{"architectures", {"GPT2LMHeadModel"}},
                 {"model_type", "gpt2"},
                 {"n_embd", 32},
                 {"n_head", 2},
                 {"n_layer", 1},
                 {"n_positions", 64},
                 {"vocab_size", 16},
                 {"quantization_config", quantization}};
  FRUGAL_EXPECT_ERROR(shop.imported(), absl::StatusCode::kUnimplemented,
                      "a GPT2LMHeadModel stores 'transformer.h.0.attn.c_attn.weight' transposed");
}

// One entry for a matrix, whatever it is stored in; what an import would do is said.
TEST(PackedImporter, AnInspectionShowsMatrices) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json json, inspect(golden("gptq-8bit-row")));
  EXPECT_EQ(json["kind"], "packed");
  EXPECT_EQ(json["architecture"], "LlamaForCausalLM");
  const std::string type = "8-bit integers, whole rows";
  EXPECT_EQ(json["types"][type]["tensors"], 6);
  EXPECT_EQ(json["types"][type]["parameters"], 4 * 32 * 32 + 2 * 64 * 32);
  // Codes, an fp16 scale and an 8-bit zero point for each row, an int32 for each column.
  EXPECT_EQ(json["types"][type]["bytes"],
            4 * 32 * 32 + 2 * 64 * 32 + (4 * 32 + 2 * 64) * 3 + 6 * 32 * 4);
  EXPECT_EQ(json["types"]["F16"]["tensors"], 6);  // ends, norms and the matrix that stayed
  EXPECT_THAT(json["tensors"], testing::Contains(Json({{"name", kQuery},
                                                       {"shape", {32, 32}},
                                                       {"type", type},
                                                       {"bytes", 32 * 32 + 32 * 3 + 32 * 4}})));
  EXPECT_THAT(json["import"], testing::Contains(Json("codes as they are: 6 int8:row")));
  EXPECT_EQ(json["quantization"]["bits"], 8);
  EXPECT_FALSE(json["metadata"].contains("quantization_config"));
  EXPECT_EQ(json["side_files"], Json::array());

  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json fused, inspect(golden("gptq-fused")));
  EXPECT_EQ(fused["types"]["4-bit integers, groups of 16, zero points"]["tensors"], 4);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json plain, inspect(golden("ct-int8") / "model.safetensors"));
  EXPECT_EQ(plain["kind"], "safetensors");
}

TEST(PackedImporter, PlainWeightsUnderSuchAConfigAreNamed) {
  Shop shop("gptq-8bit-row");
  std::erase_if(shop.tensors, [](const auto& entry) {
    return std::ranges::any_of(std::array{".qweight", ".qzeros", ".g_idx", ".scales"},
                               [&](const char* suffix) { return entry.first.ends_with(suffix); });
  });
  const auto matrix = [](int64_t rows, int64_t columns) {
    return Shop::Tensor{format::DType::kF16,
                        {rows, columns},
                        std::vector<std::byte>(static_cast<size_t>(rows * columns * 2))};
  };
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
    shop.tensors[base::str_cat("model.layers.0.self_attn.", name, ".weight")] = matrix(32, 32);
  for (const char* name : {"gate_proj", "up_proj"})
    shop.tensors[base::str_cat("model.layers.0.mlp.", name, ".weight")] = matrix(64, 32);
  FRUGAL_EXPECT_ERROR(shop.imported(), absl::StatusCode::kInvalidArgument,
                      "delete the key 'quantization_config'");
}

}  // namespace
}  // namespace frugal::artifact
