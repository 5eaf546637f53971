#include "artifact/exporter.h"

#include <gtest/gtest.h>

#include <set>

#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

TEST(Exporters, AreFoundByName) {
  std::set<std::string_view> names, suffixes;
  for (const Exporter& exporter : exporters()) {
    EXPECT_EQ(find_exporter(exporter.name), &exporter);
    names.insert(exporter.name);
    suffixes.insert(exporter.suffix);
  }
  EXPECT_EQ(names.size(), exporters().size());
  EXPECT_EQ(suffixes.size(), exporters().size());
  EXPECT_EQ(find_exporter("gugf"), nullptr);
}

TEST(Exporters, AreFoundByTheSuffixOfAPath) {
  const auto found = [](const char* path) {
    const Exporter* exporter = exporter_of(path);
    return exporter == nullptr ? "" : base::str_cat(exporter->name, " ", stem_of(path, *exporter));
  };
  EXPECT_EQ(found("out/small.gguf"), "gguf small");
  EXPECT_EQ(found("out/small-onnx"), "onnx small");
  EXPECT_EQ(found("small.onnx"), "onnx small");
  EXPECT_EQ(found("Small.GGUF"), "gguf Small");
  EXPECT_EQ(found("small-ONNX"), "onnx small");
  EXPECT_EQ(found("small-onnx.onnx"), "onnx small");
  EXPECT_EQ(found("-onnx"), "onnx -onnx");  // a name of its own
  EXPECT_EQ(found("small.v2.gguf"), "gguf small.v2");
  EXPECT_EQ(found("small"), "");  // a checkpoint
  EXPECT_EQ(found("small-hf"), "");
  EXPECT_EQ(found("small-gptq"), "");  // may be a checkpoint that GPTQ has quantized
  EXPECT_EQ(found("small-compressed-tensors"), "compressed_tensors small");
}

TEST(Forecast, AddsUpWhatIsOfOneKindAndType) {
  Forecast forecast;
  forecast.add(architecture::Role::kEmbedding, "q8_0", 10, 11);
  forecast.add(architecture::Role::kQuery, "q4_0", 20, 12);
  forecast.add(architecture::Role::kAttentionOutput, "q4_0", 30, 18);
  forecast.add(architecture::Role::kValue, "q6_k", 5, 5);
  forecast.add(architecture::Role::kFinalNorm, "F32", 1, 4);
  forecast.add("rotary tables", "F32", 0, 64);
  const auto text = [&](size_t i) {
    const WeightPart& part = forecast.parts.at(i);
    return base::str_cat(part.part, " ", part.type, " ", part.weights, " ", part.bytes);
  };
  ASSERT_EQ(forecast.parts.size(), 5u);
  EXPECT_EQ(text(0), "embedding q8_0 10 11");
  EXPECT_EQ(text(1), "attention q4_0 50 30");
  EXPECT_EQ(text(2), "attention q6_k 5 5");
  EXPECT_EQ(text(3), "norms and biases F32 1 4");
  EXPECT_EQ(text(4), "rotary tables F32 0 64");
}

TEST(Exporters, OptionsThatNoneTakesAreRefused) {
  const auto check = [](std::vector<const char*> names, const ExportOptions& options) {
    std::vector<const Exporter*> chosen;
    for (const char* name : names) chosen.push_back(find_exporter(name));
    return check_options(chosen, options);
  };
  for (const char* name : {"onnx", "huggingface"}) {
    FRUGAL_EXPECT_ERROR(check({name}, {.pre_tokenizer = "qwen2"}),
                        absl::StatusCode::kInvalidArgument,
                        base::str_cat("pre_tokenizer is for format gguf; leave it out for ", name));
  }
  FRUGAL_EXPECT_ERROR(check({"huggingface", "gptq"}, {.eos = {2}}),
                      absl::StatusCode::kInvalidArgument,
                      "eos_token_id is for formats gguf and onnx; leave it out for huggingface and "
                      "gptq");
  FRUGAL_EXPECT_ERROR(check({"onnx"}, {.max_shard_bytes = 1}), absl::StatusCode::kInvalidArgument,
                      "max_shard_size is for formats gguf and huggingface and compressed_tensors");
  FRUGAL_EXPECT_OK(check({"onnx", "gguf"}, {.max_shard_bytes = 1}));
  FRUGAL_EXPECT_ERROR(check({"compressed_tensors"}, {.gptq_version = 2}),
                      absl::StatusCode::kInvalidArgument, "gptq_version is for format gptq");
  FRUGAL_EXPECT_OK(check({"huggingface", "gguf"}, {.eos = {2}, .pre_tokenizer = "qwen2"}));
  FRUGAL_EXPECT_OK(check({"gptq"}, {.gptq_version = 2}));
  FRUGAL_EXPECT_ERROR(check({"gguf"}, {.standard_operators = true}),
                      absl::StatusCode::kInvalidArgument, "operators is for format onnx");
  FRUGAL_EXPECT_OK(check({"gguf", "onnx"}, {.standard_operators = true}));
}

}  // namespace
}  // namespace frugal::artifact
