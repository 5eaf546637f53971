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
}

TEST(Exporters, RefuseOptionsOfOthers) {
  const format::ModelInfo model;
  std::vector<std::string> warnings;
  for (const char* name : {"onnx", "huggingface"}) {
    FRUGAL_EXPECT_ERROR(find_exporter(name)->check(model, {.pre_tokenizer = "qwen2"}, warnings),
                        absl::StatusCode::kInvalidArgument,
                        base::str_cat("pre_tokenizer is for format gguf; leave it out for ", name));
  }
  FRUGAL_EXPECT_ERROR(find_exporter("huggingface")->check(model, {.eos = {2}}, warnings),
                      absl::StatusCode::kInvalidArgument,
                      "eos_token_id is for formats gguf and onnx");
}

}  // namespace
}  // namespace frugal::artifact
