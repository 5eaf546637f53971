#include "passes/export/export_pass.h"

#include <gtest/gtest.h>

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

void run_export(const base::Json& options, FakeRunContext& context) {
  const auto pass = make_export_pass();
  set_options(*pass, options);
  FRUGAL_ASSERT_OK(pass->run(context));
}

TEST(ExportPass, WritesEachFormatUnderTheInputsName) {
  const test::TemporaryFolder folder;
  const format::Checkpoint input = toy_checkpoint(folder.path() / "toy", {.layers = 1});
  FakeRunContext context(folder.path(), input);
  run_export({{"format", "gguf"}}, context);
  run_export({{"format", "onnx"}}, context);
  run_export({{"format", "huggingface"}, {"name", "plain"}}, context);
  FRUGAL_EXPECT_OK(format::GgufFile::open(context.output_folder() / "toy.gguf"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const format::OnnxSummary onnx,
      format::read_onnx(context.output_folder() / "toy-onnx" / "model.onnx"));
  EXPECT_EQ(onnx.node_counts.at("com.microsoft::GroupQueryAttention"), 1);
  EXPECT_TRUE(std::filesystem::exists(context.output_folder() / "toy-onnx" / "genai_config.json"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const format::Checkpoint plain,
                              format::Checkpoint::open(context.output_folder() / "plain-hf"));
  EXPECT_EQ(plain.values("model.layers.0.mlp.down_proj.weight").value(),
            input.values("model.layers.0.mlp.down_proj.weight").value());
  EXPECT_GT(context.value("artifact_bytes").value_or(0), 0);
  EXPECT_FALSE(context.tables["files"].empty());
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
    set_options(*pass, {{"format", format}});
    return pass->check(context, info);
  };
  FakeCheckContext gguf, plain, onnx;
  FRUGAL_EXPECT_ERROR(check("gguf", gguf), absl::StatusCode::kInvalidArgument, "per token");
  FRUGAL_ASSERT_OK(check("huggingface", plain));
  EXPECT_EQ(plain.warnings.size(), 1u);
  FRUGAL_ASSERT_OK(check("onnx", onnx));
  FakeRunContext context(folder.path() / "export", input);
  run_export({{"format", "onnx"}}, context);
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
  set_options(*pass, {{"format", "onnx"}});
  FakeCheckContext check;
  FRUGAL_EXPECT_ERROR(pass->check(check, info), absl::StatusCode::kInvalidArgument, "MatMulNBits");
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
    for (const char* format : {"gguf", "onnx", "huggingface"}) {
      const auto pass = make_export_pass();
      set_options(*pass, {{"format", format}});
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
