#include "passes/export/export_pass.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "artifact/importer.h"
#include "base/file.h"
#include "fake_context.h"
#include "format/gguf.h"
#include "format/onnx.h"
#include "pass/plan.h"
#include "passes/quantize/quantize_pass.h"
#include "support/shared_data.h"
#include "support/toy_checkpoint.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;

base::Json one(const char* format) { return base::Json::array({format}); }

void run_export(const base::Json& options, FakeRunContext& context) {
  const auto pass = make_export_pass();
  set_options(*pass, options);
  FRUGAL_ASSERT_OK(pass->run(context));
}

TEST(ExportPass, WritesEachFormatUnderTheInputsName) {
  const test::TemporaryFolder folder;
  const format::Checkpoint input = toy_checkpoint(folder.path() / "toy", {.layers = 1});
  FakeRunContext context(folder.path(), input);
  run_export({{"format", one("gguf")}}, context);
  run_export({{"format", one("onnx")}}, context);
  run_export({{"format", one("onnx")}, {"operators", "standard"}, {"name", "standard"}}, context);
  run_export({{"format", one("huggingface")}, {"name", "plain"}}, context);
  FRUGAL_EXPECT_OK(format::GgufFile::open(context.output_folder() / "toy.gguf"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const format::OnnxSummary onnx,
      format::read_onnx(context.output_folder() / "toy-onnx" / "model.onnx"));
  EXPECT_EQ(onnx.node_counts.at("com.microsoft::GroupQueryAttention"), 1);
  EXPECT_TRUE(std::filesystem::exists(context.output_folder() / "toy-onnx" / "genai_config.json"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const format::OnnxSummary standard,
      format::read_onnx(context.output_folder() / "standard-onnx" / "model.onnx"));
  EXPECT_EQ(standard.node_counts.at("Attention"), 1);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint plain,
                              format::Checkpoint::open(context.output_folder() / "plain-hf"));
  EXPECT_EQ(plain.values("model.layers.0.mlp.down_proj.weight").value(),
            input.values("model.layers.0.mlp.down_proj.weight").value());
  EXPECT_GT(context.value("artifact_bytes").value_or(0), 0);
  EXPECT_FALSE(context.tables["files"].empty());
}

// W = (code - 8) * scale of a MatMulNBits without zero points, from the files.
std::vector<float> nbits_weights(const std::filesystem::path& folder, const std::string& weight) {
  const format::OnnxSummary onnx = format::read_onnx(folder / "model.onnx").value();
  const std::string data = base::read_file(folder / "model.onnx.data").value();
  const auto bytes = [&](const std::string& name) {
    for (const format::OnnxTensorSummary& tensor : onnx.initializers) {
      if (tensor.name == name)
        return data.substr(static_cast<size_t>(tensor.offset),
                           static_cast<size_t>(tensor.size_bytes));
    }
    return std::string();
  };
  const std::string codes = bytes(weight + ".q"), scale_bytes = bytes(weight + ".scales");
  std::vector<float> scales(scale_bytes.size() / sizeof(float));
  std::memcpy(scales.data(), scale_bytes.data(), scale_bytes.size());
  std::vector<float> weights;
  for (size_t i = 0; i < 2 * codes.size(); ++i) {
    const int code = static_cast<uint8_t>(codes[i / 2]) >> (i % 2 * 4) & 15;
    weights.push_back(static_cast<float>(code - 8) * scales[i / 32]);
  }
  return weights;
}

// One calibrated result, many files: whatever the format, the codes are the checkpoint's.
TEST(ExportPass, SeveralFormatsHoldTheSameCodes) {
  const test::TemporaryFolder folder;
  const format::Checkpoint toy = toy_checkpoint(folder.path() / "toy", {.layers = 2});
  FakeRunContext quantized(folder.path() / "quantized", toy);
  const auto quantize = make_quantize_pass();
  set_options(*quantize,
              {{"grid", "int4:g32"}, {"method", "rtn"}, {"embeddings", "keep"}, {"head", "keep"}});
  FRUGAL_ASSERT_OK(quantize->run(quantized));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input,
                              format::Checkpoint::open(quantized.output_folder()));
  FakeRunContext context(folder.path() / "export", input);
  const base::Json formats =
      base::Json::array({"gguf", "onnx", "compressed_tensors", "gptq", "huggingface"});
  run_export({{"format", formats}}, context);
  const auto& out = context.output_folder();
  const auto imported = [&](const artifact::Importer& importer, const std::string& name) {
    const auto to = folder.path() / ("from-" + name);
    std::filesystem::create_directories(to);
    FRUGAL_EXPECT_OK(importer.write(out / name, to).status());
    return format::Checkpoint::open(to).value();
  };
  const format::Checkpoint gguf = imported(artifact::kGgufImporter, "toy.gguf");
  const format::Checkpoint packed = imported(artifact::kPackedImporter, "toy-compressed-tensors");
  const format::Checkpoint gptq = imported(artifact::kPackedImporter, "toy-gptq");
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint plain,
                              format::Checkpoint::open(out / "toy-hf"));
  ASSERT_EQ(input.quantized().size(), 2u * 7);
  for (const auto& [name, entry] : input.quantized()) {
    SCOPED_TRACE(name);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const grid::QuantizedMatrix codes, input.codes(name));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const std::vector<float> weights, input.values(name));
    EXPECT_EQ(gguf.quantized().at(name).grid, "q4_0");
    EXPECT_EQ(gguf.codes(name)->codes, codes.codes);
    EXPECT_EQ(gguf.codes(name)->parameters, codes.parameters);  // an fp16 scale in both
    for (const format::Checkpoint* folder_of_codes : {&packed, &gptq}) {
      EXPECT_EQ(folder_of_codes->codes(name)->codes, codes.codes);
      EXPECT_EQ(folder_of_codes->codes(name)->parameters, codes.parameters);
    }
    EXPECT_EQ(plain.values(name).value(), weights);
    EXPECT_EQ(nbits_weights(out / "toy-onnx", name), weights);
  }
}

// Of a model that is cut into files the plan says how many, and the run leaves them.
TEST(ExportPass, CutsALargeModelIntoFiles) {
  const test::TemporaryFolder folder;
  const format::Checkpoint toy = toy_checkpoint(folder.path() / "toy", {.layers = 2});
  FRUGAL_ASSERT_OK_AND_ASSIGN(pass::ModelInfo info, pass::model_info("toy", toy));
  const base::Json options = {{"format", base::Json::array({"gguf", "huggingface"})},
                              {"max_shard_size", toy.weight_bytes() / 3}};
  const auto pass = make_export_pass();
  set_options(*pass, options);
  FakeCheckContext check;
  FRUGAL_ASSERT_OK(pass->check(check, info));
  FakeRunContext context(folder.path() / "export", toy);
  FRUGAL_ASSERT_OK(pass->run(context));
  EXPECT_NEAR(static_cast<double>(*check.estimated.output_bytes),
              context.value("artifact_bytes").value(),
              0.01 * context.value("artifact_bytes").value());
  ASSERT_EQ(check.notes.size(), 2u);
  size_t parts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(context.output_folder()))
    parts += entry.path().extension() == ".gguf";
  EXPECT_GT(parts, 2u);
  EXPECT_EQ(check.notes[0], base::str_cat("the weights of gguf come in ", parts, " files"));
  // What a runtime will be told to load is known before it exists.
  ASSERT_EQ(check.left.size(), 2u);
  EXPECT_EQ(check.left[0].format, "gguf");
  EXPECT_TRUE(std::filesystem::is_regular_file(context.output_folder() / check.left[0].path));
  EXPECT_TRUE(std::filesystem::is_directory(context.output_folder() / check.left[1].path));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::GgufFile gguf,
                              format::GgufFile::open_model(format::gguf_part(
                                  context.output_folder() / "toy.gguf", 0, parts)));
  EXPECT_NE(gguf.find_tensor("blk.1.ffn_down.weight"), nullptr);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint plain,
                              format::Checkpoint::open(context.output_folder() / "toy-hf"));
  EXPECT_EQ(plain.values("model.layers.1.mlp.down_proj.weight").value(),
            toy.values("model.layers.1.mlp.down_proj.weight").value());
}

// What the journal is to know of an artifact: for the model card.
TEST(ExportPass, RecordsWhatEachPartTakes) {
  const test::TemporaryFolder folder;
  const format::Checkpoint toy = toy_checkpoint(folder.path() / "toy", {.layers = 2});
  FakeRunContext context(folder.path() / "export", toy);
  run_export({{"format", base::Json::array({"gguf", "onnx", "huggingface"})}}, context);
  ASSERT_EQ(context.tables["artifacts"].size(), 3u);
  EXPECT_EQ(context.tables["artifacts"][0]["name"], "toy.gguf");
  EXPECT_EQ(context.tables["card"].size(), 1u);
  std::map<std::string, int64_t> weights, bytes;
  for (const base::Json& part : context.tables["parts"]) {
    weights[part["format"]] += part["weights"].get<int64_t>();
    bytes[part["format"]] += part["bytes"].get<int64_t>();
  }
  for (const char* format : {"gguf", "onnx", "huggingface"})
    EXPECT_EQ(weights[format], toy.config().parameter_count()) << format;
  EXPECT_EQ(bytes["huggingface"], toy.weight_bytes());
  int64_t gguf_bytes = 0;
  const auto gguf = format::GgufFile::open(context.output_folder() / "toy.gguf").value();
  for (const auto& tensor : gguf.tensors()) gguf_bytes += tensor.size_bytes;
  EXPECT_EQ(bytes["gguf"], gguf_bytes);
}

TEST(ExportPass, OfSeveralFormatsEachIsChecked) {
  const test::TemporaryFolder folder;
  const format::Checkpoint toy = toy_checkpoint(folder.path() / "toy", {.layers = 1});
  FRUGAL_ASSERT_OK_AND_ASSIGN(pass::ModelInfo info, pass::model_info("toy", toy));
  info.grids["model.layers.0.mlp.up_proj.weight"] = "fp8:row";
  const auto check = [&](const base::Json& options) {
    const auto pass = make_export_pass();
    set_options(*pass, options);
    FakeCheckContext context;
    return pass->check(context, info);
  };
  const auto several = [](auto... names) { return base::Json::array({names...}); };
  FRUGAL_EXPECT_OK(check({{"format", several("compressed_tensors", "huggingface")}}));
  FRUGAL_EXPECT_ERROR(check({{"format", several("compressed_tensors", "gguf")}}),
                      absl::StatusCode::kInvalidArgument, "to GGUF");
  FRUGAL_EXPECT_ERROR(check({{"format", several("compressed_tensors", "compressed_tensors")}}),
                      absl::StatusCode::kInvalidArgument, "names compressed_tensors twice");
  FRUGAL_EXPECT_ERROR(check({{"format", base::Json::array()}}), absl::StatusCode::kInvalidArgument,
                      "empty list");
  FRUGAL_EXPECT_ERROR(check({{"format", one("huggingface")}, {"pre_tokenizer", "qwen2"}}),
                      absl::StatusCode::kInvalidArgument, "is for format gguf");
}

TEST(ExportPass, RoundedActivationsGoToOnnxAlone) {
  const test::TemporaryFolder folder;
  const format::Checkpoint toy = toy_checkpoint(folder.path() / "toy", {.layers = 2});
  FakeRunContext quantized(folder.path() / "quantized", toy);
  const auto quantize = make_quantize_pass();
  set_options(*quantize, {{"grid", "int8:row"}, {"method", "rtn"}, {"activations", "int8"}});
  FRUGAL_ASSERT_OK(quantize->run(quantized));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint input,
                              format::Checkpoint::open(quantized.output_folder()));
  FRUGAL_ASSERT_OK_AND_ASSIGN(pass::ModelInfo info, pass::model_info("toy", input));
  const auto check = [&](const char* format, FakeCheckContext& context) {
    const auto pass = make_export_pass();
    set_options(*pass, {{"format", one(format)}});
    return pass->check(context, info);
  };
  FakeCheckContext gguf, plain, onnx;
  FRUGAL_EXPECT_ERROR(check("gguf", gguf), absl::StatusCode::kInvalidArgument, "per token");
  FRUGAL_ASSERT_OK(check("huggingface", plain));
  EXPECT_EQ(plain.warnings.size(), 1u);
  FRUGAL_ASSERT_OK(check("onnx", onnx));
  FakeRunContext context(folder.path() / "export", input);
  run_export({{"format", one("onnx")}}, context);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const format::OnnxSummary graph,
      format::read_onnx(context.output_folder() / "toy-onnx" / "model.onnx"));
  EXPECT_EQ(graph.node_counts.at("MatMulInteger"), 2 * 7);
  EXPECT_EQ(graph.node_counts.at("Round"), 2 * 4);  // once per stage
}

TEST(ExportPass, RefusesAnOnnxGridBeforeAnythingRuns) {
  const test::TemporaryFolder folder;
  pass::ModelInfo info;
  info.name = "toy";
  info.config =
      toy_checkpoint(folder.path() / "toy", {.layers = 1, .width = 256, .neurons = 256}).config();
  info.has_tokenizer = true;
  info.grids["model.layers.0.mlp.up_proj.weight"] = "q4_k";
  const auto pass = make_export_pass();
  set_options(*pass, {{"format", one("onnx")}});
  FakeCheckContext check;
  FRUGAL_EXPECT_ERROR(pass->check(check, info), absl::StatusCode::kInvalidArgument, "MatMulNBits");
  set_options(*pass, {{"format", one("onnx")}, {"operators", "standard"}});
  FRUGAL_EXPECT_ERROR(pass->check(check, info), absl::StatusCode::kInvalidArgument,
                      "DequantizeLinear");
}

// What check says will be written against what run writes, of weights on several grids.
TEST(ExportPass, ForecastsItsBytesWithinAPercent) {
  const test::TemporaryFolder folder;
  const format::Checkpoint toy =
      toy_checkpoint(folder.path() / "toy", {.layers = 3, .width = 256, .neurons = 1024});
  for (const char* grid : {"", "q4_0", "int4:g64:asym", "q6_k"}) {
    const std::string name = std::string(grid).empty() ? "plain" : base::str_cat("on-", grid);
    format::Checkpoint input = toy;
    if (*grid != '\0') {
      FakeRunContext quantized(folder.path() / name, toy);
      const auto quantize = make_quantize_pass();
      set_options(*quantize, {{"grid", grid}, {"method", "rtn"}});
      FRUGAL_ASSERT_OK(quantize->run(quantized));
      FRUGAL_ASSERT_OK_AND_ASSIGN(input, format::Checkpoint::open(quantized.output_folder()));
    }
    FRUGAL_ASSERT_OK_AND_ASSIGN(pass::ModelInfo info, pass::model_info("toy", input));
    for (const std::string format :
         {"gguf", "onnx", "standard", "huggingface", "compressed_tensors", "gptq"}) {
      const auto pass = make_export_pass();
      format == "standard"
          ? set_options(*pass, {{"format", one("onnx")}, {"operators", "standard"}})
          : set_options(*pass, {{"format", one(format.c_str())}});
      FakeCheckContext check;
      if (!pass->check(check, info).ok()) continue;  // no layout of this format holds the grid
      ASSERT_TRUE(check.estimated.output_bytes.has_value());
      FakeRunContext context(folder.path() / base::str_cat(name, "-", format), input);
      FRUGAL_ASSERT_OK(pass->run(context));
      const double written = context.value("artifact_bytes").value();
      EXPECT_NEAR(static_cast<double>(*check.estimated.output_bytes), written, 0.01 * written)
          << name << " as " << format;
    }
  }
}

}  // namespace
}  // namespace frugal::passes
