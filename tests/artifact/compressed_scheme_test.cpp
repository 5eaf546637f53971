#include "artifact/packed/compressed_scheme.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::artifact {
namespace {

using base::Json;

Json config(const Json& changes, const std::string& format = "pack-quantized") {
  Json weights = {{"num_bits", 4},
                  {"type", "int"},
                  {"symmetric", true},
                  {"strategy", "group"},
                  {"group_size", 32}};
  weights.update(changes);
  return {{"format", format},
          {"ignore", {"lm_head"}},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}

absl::StatusOr<CompressedScheme> parsed(const Json& json) {
  auto schemes = parse_compressed_schemes(json, "config.json");
  if (!schemes.ok()) return schemes.status();
  return schemes->groups.at(0);
}

TEST(CompressedScheme, SaysWhatTheConfigSays) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CompressedScheme scheme, parsed(config(Json::object())));
  EXPECT_EQ(scheme.format, CompressedFormat::kPacked);
  EXPECT_EQ(scheme.bits, 4);
  EXPECT_TRUE(scheme.symmetric);
  EXPECT_EQ(scheme.spread, ScaleSpread::kGroup);
  EXPECT_EQ(scheme.group, 32);
  EXPECT_EQ(scheme.text(), "pack-quantized of 4 bits, groups of 32 ('group_0')");
}

TEST(CompressedScheme, BlocksHaveRowsAndColumns) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const CompressedScheme scheme,
                              parsed(config({{"num_bits", 8},
                                             {"type", "float"},
                                             {"strategy", "block"},
                                             {"group_size", nullptr},
                                             {"block_structure", {128, 64}}},
                                            "float-quantized")));
  EXPECT_EQ(scheme.spread, ScaleSpread::kBlock);
  EXPECT_EQ(scheme.block_rows, 128);
  EXPECT_EQ(scheme.group, 64);
}

Json with_inputs(const Json& inputs) {
  Json json =
      config({{"num_bits", 8}, {"strategy", "channel"}, {"group_size", nullptr}}, "int-quantized");
  json["config_groups"]["group_0"]["input_activations"] = inputs;
  return json;
}

TEST(CompressedScheme, OnlyInt8PerTokenIsWhatACheckpointSaysOfInputs) {
  const Json dynamic = {{"num_bits", 8},
                        {"type", "int"},
                        {"symmetric", true},
                        {"strategy", "token"},
                        {"dynamic", true}};
  EXPECT_TRUE(parsed(with_inputs(dynamic))->int8_inputs);
  EXPECT_EQ(parsed(with_inputs(dynamic))->inputs, "");
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{
           {"type", "float"}, {"symmetric", false}, {"strategy", "tensor"}, {"dynamic", false}}) {
    Json other = dynamic;
    other[key] = value;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const CompressedScheme scheme, parsed(with_inputs(other)));
    EXPECT_FALSE(scheme.int8_inputs) << key;
    EXPECT_NE(scheme.inputs, "") << key;
  }
}

TEST(CompressedScheme, IsWrittenAsItIsRead) {
  for (const CompressedScheme& scheme : std::vector<CompressedScheme>{
           {.group = 32},
           {.bits = 8, .symmetric = false, .spread = ScaleSpread::kChannel},
           {.format = CompressedFormat::kFloat,
            .bits = 8,
            .is_float = true,
            .spread = ScaleSpread::kChannel},
           {.format = CompressedFormat::kInteger,
            .bits = 8,
            .spread = ScaleSpread::kChannel,
            .int8_inputs = true}}) {
    const Json json = {{"format", "none"},
                       {"config_groups", {{"group_0", to_json(scheme, {"model.a", "model.b"})}}}};
    FRUGAL_ASSERT_OK_AND_ASSIGN(const CompressedSchemes found,
                                parse_compressed_schemes(json, "config.json"));
    ASSERT_EQ(found.groups.size(), 1u);
    CompressedScheme expected = scheme;
    expected.name = "group_0";
    EXPECT_EQ(found.groups[0].text(), expected.text());
    EXPECT_EQ(found.groups[0].int8_inputs, scheme.int8_inputs);
    EXPECT_EQ(found.groups[0].inputs, "");
    EXPECT_TRUE(found.groups[0].targets.names("model.b", "").value());
    EXPECT_FALSE(found.groups[0].targets.names("model.c", "Linear").value());
  }
}

TEST(CompressedScheme, RefusesByName) {
  struct Case {
    Json json;
    std::string says;
  };
  Json cache = config(Json::object());
  cache["kv_cache_scheme"] = {{"num_bits", 8}};
  Json sparse = config(Json::object());
  sparse["sparsity_config"] = {{"format", "sparse-24-bitmask"}};
  Json outputs = config(Json::object());
  outputs["config_groups"]["group_0"]["output_activations"] = {{"num_bits", 8}};
  Json preset = config(Json::object());
  preset["config_groups"] = {{"W8A16", {"Linear"}}};
  Json none = config(Json::object());
  none["config_groups"] = Json::object();
  for (const Case& test : std::vector<Case>{
           {config(Json::object(), "mxfp6-pack-quantized"), "'mxfp6-pack-quantized'; frugal reads"},
           {config(Json::object(), "marlin-24"), "'marlin-24'"},
           {config({{"num_bits", 16}}), "integers of 16 bits"},
           {config({{"num_bits", 99}}), "'num_bits' is 99"},
           {config({{"type", "float"}}), "floats of 4 bits"},
           {config({{"type", "complex"}}), "expected int or float"},
           {config(Json::object(), "int-quantized"), "integers of 4 bits"},
           {config({{"strategy", "attn_head"}}), "'attn_head'"},
           {config({{"strategy", "channel"}}), "but 'group_size' is 32"},
           {config({{"group_size", nullptr}}), "says no number of columns"},
           {config({{"strategy", "block"}, {"block_structure", {1, -2}}}), "'block_structure'"},
           {cache, "'kv_cache_scheme'"},
           {sparse, "'sparse-24-bitmask'"},
           {outputs, "'output_activations'"},
           {preset, "a preset"},
           {none, "'config_groups' must be"}}) {
    const absl::Status status = parsed(test.json).status();
    EXPECT_FALSE(status.ok()) << test.says;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(test.says));
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("config.json"));
  }
}

}  // namespace
}  // namespace frugal::artifact
