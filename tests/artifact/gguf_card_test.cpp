#include "artifact/gguf/gguf_card.h"

#include <gtest/gtest.h>

#include "gguf_files.h"

namespace frugal::artifact {
namespace {

using namespace frugal::test;

class GgufCard : public ::testing::Test {
 protected:
  base::Json read() {
    const auto path = folder_.path() / "x.gguf";
    write_gguf_content(path, content_);
    const auto file = format::GgufFile::open(path).value();
    return read_gguf_card(GgufValues(file, "x.gguf"));
  }
  TemporaryFolder folder_;
  GgufContent content_;
};

TEST_F(GgufCard, TravelsThereAndBack) {
  const GgufMetadata said = {
      {"general.license", std::string("apache-2.0")},
      {"general.license.link", std::string("https://example.org/license")},
      {"general.base_model.count", uint32_t{1}},
      {"general.base_model.0.name", std::string("Small")},
      {"general.base_model.0.repo_url", std::string("https://example.org/small")},
      {"general.languages", std::vector<std::string>{"en", "de"}},
      {"general.tags", std::vector<std::string>{"text-generation"}}};
  content_.metadata = said;
  const base::Json card = read();
  EXPECT_EQ(card.size(), said.size());
  architecture::ModelConfig config;
  config.source = {{"frugal", {{"version", 1}}}};
  keep_gguf_card(card, config);
  EXPECT_EQ(config.source["frugal"]["version"], 1);
  GgufMetadata written;
  add_gguf_card(config, written);
  EXPECT_EQ(written, said);
}

TEST_F(GgufCard, WhatNamesTheWriterOrTheModelStays) {
  content_.value("general.name") = std::string("x");
  content_.value("general.architecture") = std::string("llama");
  content_.value("general.quantized_by") = std::string("somebody");
  content_.value("general.file_type") = uint32_t{7};
  content_.value("general.tags") = std::string("a text is fine, too");
  content_.value("general.license") = 1.5f;                        // of no type that says anything
  content_.value("general.description") = std::string(5000, 'x');  // longer than a description
  const base::Json card = read();
  EXPECT_EQ(card, (base::Json{{"general.tags", "a text is fine, too"}}));
}

TEST(GgufMaking, SaysWhatIsKnownAndNothingElse) {
  GgufMetadata nothing;
  add_making({}, nothing);
  add_making({.steps = {"prune"}, .seed = 1}, nothing);  // by an unknown version
  EXPECT_TRUE(nothing.empty());
  GgufMetadata plain;
  add_making({.version = "1.2", .seed = 3}, plain);
  EXPECT_EQ(plain, (GgufMetadata{{"frugal.version", std::string("1.2")}}));
  GgufMetadata nearest;
  add_making({.version = "1.2", .steps = {"quantize: grid q8_0"}, .recipe = "rtn", .seed = 3},
             nearest);
  EXPECT_EQ(nearest,
            (GgufMetadata{{"general.quantized_by", std::string("frugal 1.2")},
                          {"frugal.version", std::string("1.2")},
                          {"frugal.steps", std::vector<std::string>{"quantize: grid q8_0"}},
                          {"frugal.seed", uint64_t{3}},
                          {"frugal.quantization.recipe", std::string("rtn")}}));
  GgufMetadata calibrated;
  add_making({.version = "1.2",
              .steps = {"quantize"},
              .recipe = "fast",
              .method = "gptq",
              .calibration = "novels",
              .calibration_tokens = 8192},
             calibrated);
  EXPECT_EQ(calibrated[4], GgufMetadata::value_type("frugal.quantization.method", "gptq"));
  EXPECT_EQ(calibrated[5], GgufMetadata::value_type("frugal.quantization.calibration", "novels"));
  EXPECT_EQ(calibrated[6].second, format::GgufValue(uint64_t{8192}));
}

// config.json may come from anywhere.
TEST(GgufCardOfAConfig, AddsOnlyWhatIsACardAndNew) {
  architecture::ModelConfig config;
  config.source = {{"frugal",
                    {{"card",
                      {{"general.architecture", "mamba"},
                       {"general.license", "mit"},
                       {"general.tags", base::Json::array()},
                       {"general.url", 1.5},
                       {"general.base_model.count", -1},
                       {"general.author", "somebody"}}}}}};
  GgufMetadata metadata = {{"general.author", std::string("nobody")}};
  add_gguf_card(config, metadata);
  EXPECT_EQ(metadata, (GgufMetadata{{"general.author", std::string("nobody")},
                                    {"general.license", std::string("mit")}}));
  GgufMetadata none;
  for (const base::Json& source :
       {base::Json(), base::Json{{"frugal", 3}}, base::Json{{"frugal", {{"card", "x"}}}}}) {
    config.source = source;
    add_gguf_card(config, none);
  }
  EXPECT_TRUE(none.empty());
}

TEST_F(GgufCard, AFileWithoutOneKeepsNone) {
  content_.value("general.name") = std::string("x");
  architecture::ModelConfig config;
  config.source = base::Json::object();
  keep_gguf_card(read(), config);
  EXPECT_FALSE(config.source.contains("frugal"));
}

}  // namespace
}  // namespace frugal::artifact
