#include "pass/pipeline_inputs.h"

#include <gmock/gmock.h>

#include "base/file.h"
#include "toy.h"

namespace frugal::pass {
namespace {

namespace fs = std::filesystem;

// A workshop's models and data, opened one by one.
class PipelineInputs : public testing::Test {
 protected:
  std::string open(const ModelEntry& entry) {
    Problems problems("f");
    HashStore hashes(shop_.path() / "hashes");
    opened_ = open_model(entry, {.hashes = &hashes}, plan_, problems);
    return problems.text();
  }
  std::string open(const DataEntry& entry) {
    Problems problems("f");
    HashStore hashes(shop_.path() / "hashes");
    open_data(entry, {.hashes = &hashes}, plan_, problems);
    return problems.text();
  }
  ModelEntry model(const char* folder = "teacher") const {
    return {.name = "teacher",
            .folder = shop_.path() / folder,
            .expected_hash = "",
            .position = {3, 5, ""}};
  }
  DataEntry data(const char* file = "a.txt") const {
    DataEntry entry{.name = "text", .source = {}, .expected_hash = "", .position = {4, 7, ""}};
    entry.source.text = {(shop_.path() / file).string()};
    return entry;
  }
  std::string data_key(const DataEntry& entry) {
    EXPECT_EQ(open(entry), "");
    return plan_.data.at("text").key;
  }
  test::Workshop shop_;
  Plan plan_;
  bool opened_ = false;
};

TEST_F(PipelineInputs, AModelIsDescribedAndHashed) {
  EXPECT_EQ(open(model()), "");
  EXPECT_TRUE(opened_);
  const ModelInput& input = plan_.models.at("teacher");
  EXPECT_EQ(input.info.name, "teacher");
  EXPECT_EQ(input.info.dtype, "F32");
  EXPECT_EQ(input.info.size_bytes, input.checkpoint->weight_bytes());
  EXPECT_FALSE(input.info.has_tokenizer);
  EXPECT_EQ(input.info.side_bytes, 0);
  EXPECT_EQ(input.hash, input.checkpoint->content_hash().value());
}

TEST_F(PipelineInputs, ATokenizerBesideTheWeightsIsSeen) {
  for (const char* file : {"tokenizer.json", "generation_config.json"})
    FRUGAL_ASSERT_OK(base::write_file_atomically(shop_.path() / "teacher" / file, "{}"));
  EXPECT_EQ(open(model()), "");
  const ModelInfo& info = plan_.models.at("teacher").info;
  EXPECT_TRUE(info.has_tokenizer);
  EXPECT_EQ(info.tokenizer_folder, shop_.path() / "teacher");
  EXPECT_EQ(info.side_bytes, 4);
}

TEST_F(PipelineInputs, AModelThatIsNotThereIsNamed) {
  EXPECT_THAT(open(model("absent")), testing::StartsWith("f:3:5: model 'teacher': "));
  EXPECT_FALSE(opened_);
  EXPECT_TRUE(plan_.models.empty());
  EXPECT_THAT(open(model("absent")), testing::Not(testing::HasSubstr("paths are relative")));
  plan_.pipeline.file = "toy.yaml";
  EXPECT_THAT(open(model("absent")),
              testing::EndsWith("; paths are relative to the pipeline file"));
  fs::create_directories(shop_.path() / "empty");  // there, but no checkpoint
  EXPECT_THAT(open(model("empty")), testing::Not(testing::HasSubstr("paths are relative")));
}

TEST_F(PipelineInputs, WhatHasChangedSinceItWasResolvedIsAnError) {
  ModelEntry teacher = model();
  teacher.expected_hash = "abc";
  EXPECT_THAT(
      open(teacher),
      testing::AllOf(
          testing::HasSubstr("f:3:5: model 'teacher' has changed since this pipeline was resolved"),
          testing::HasSubstr("expected abc; remove it from inputs: to take it as it is")));
  teacher.expected_hash = plan_.models.at("teacher").hash;
  EXPECT_EQ(open(teacher), "");
  DataEntry text = data();
  text.expected_hash = "abc";
  EXPECT_THAT(open(text), testing::HasSubstr("f:4:7: data 'text' has changed"));
  text.expected_hash = plan_.data.at("text").hash;
  EXPECT_EQ(open(text), "");
}

// The content is one thing, what is taken of it another.
TEST_F(PipelineInputs, DataAreTheirContentAndWhatIsTakenOfIt) {
  DataEntry text = data();
  const std::string before = data_key(text), content = plan_.data.at("text").hash;
  EXPECT_NE(before, "");
  text.source.tokens = 100;
  EXPECT_NE(data_key(text), before);
  EXPECT_EQ(plan_.data.at("text").hash, content);
  text = data();
  text.source.sequence_length = 100;
  EXPECT_NE(data_key(text), before);
  text = data("b.txt");
  EXPECT_NE(data_key(text), before);
  EXPECT_NE(plan_.data.at("text").hash, content);
  EXPECT_EQ(data_key(data()), before);
  text = data();
  text.name = "text";
  text.position = {9, 9, ""};  // where it is written is no matter
  EXPECT_EQ(data_key(text), before);
}

TEST_F(PipelineInputs, BuiltinDataAreTheirSeed) {
  DataEntry builtin = data();
  builtin.source = {};
  builtin.source.builtin = "storefront";
  builtin.source.split = "test";
  const std::string first = data_key(builtin);
  builtin.source.seed = 2;
  EXPECT_NE(data_key(builtin), first);
  builtin.source.seed = 1;
  EXPECT_EQ(data_key(builtin), first);
  builtin.source.builtin = "storefrnt";
  EXPECT_THAT(open(builtin), testing::StartsWith("f:4:7: data 'text': "));
}

TEST_F(PipelineInputs, DataThatCannotBeReadAreNamed) {
  EXPECT_THAT(open(data("absent.txt")), testing::AllOf(testing::StartsWith("f:4:7: data 'text': "),
                                                       testing::HasSubstr("absent.txt")));
  FRUGAL_ASSERT_OK(
      base::write_file_atomically(shop_.path() / "bad.jsonl", "{\"sentence\": \"x\"}\n"));
  DataEntry lines = data();
  lines.source = {};
  lines.source.jsonl = (shop_.path() / "bad.jsonl").string();
  lines.source.completion = "{label}";
  EXPECT_THAT(open(lines), testing::AllOf(testing::StartsWith("f:4:7: data 'text': "),
                                          testing::HasSubstr("label")));
  EXPECT_FALSE(plan_.data.contains("text"));
}

}  // namespace
}  // namespace frugal::pass
