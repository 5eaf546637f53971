#include "format/quantized_entries.h"

#include <gtest/gtest.h>

#include "support/shared_data.h"

namespace frugal::format {
namespace {

using base::Json;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<QuantizedEntries> parse(int64_t version, Json entry) {
  const Json config = {
      {"frugal", {{"version", version}, {"quantized", {{"some.weight", std::move(entry)}}}}}};
  // As read from a file: there, unlike here, a number without a sign has an unsigned type.
  return parse_quantized_entries(Json::parse(config.dump()), "config.json");
}

TEST(QuantizedEntries, AreNoneWithoutTheKey) {
  EXPECT_TRUE(parse_quantized_entries(Json::object(), "config.json")->empty());
  EXPECT_TRUE(parse_quantized_entries({{"frugal", nullptr}}, "config.json")->empty());
  EXPECT_TRUE(parse_quantized_entries({{"frugal", {{"version", 1}}}}, "config.json")->empty());
}

TEST(QuantizedEntries, SayGridShapeAndActivations) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const QuantizedEntries entries,
      parse(2, {{"grid", "int8:row"}, {"shape", {3, 32}}, {"activations", "int8"}}));
  ASSERT_EQ(entries.size(), 1u);
  const QuantizedEntry& entry = entries.at("some.weight");
  EXPECT_EQ(entry.grid, "int8:row");
  EXPECT_EQ(entry.rows, 3);
  EXPECT_EQ(entry.columns, 32);
  EXPECT_EQ(entry.activations, find_activations("int8").value());
  EXPECT_EQ(parse(1, {{"grid", "q4_0"}, {"shape", {3, 32}}})->at("some.weight").activations,
            Activations::kFloat);
}

TEST(QuantizedEntries, ErrorsNameTheTensor) {
  for (const Json& shape : std::vector<Json>{
           {3}, {3, 32, 1}, {0, 32}, {3, -32}, {3, 1.5}, "3x32", {3, uint64_t{1} << 31}}) {
    FRUGAL_EXPECT_ERROR(parse(1, {{"grid", "q4_0"}, {"shape", shape}}), kInvalid,
                        "config.json: 'frugal': tensor 'some.weight': 'shape' must be two");
  }
  FRUGAL_EXPECT_ERROR(parse(1, {{"shape", {3, 32}}}), kInvalid, "grid");
  FRUGAL_EXPECT_ERROR(parse(1, {{"grid", "q4_0"}, {"shape", {3, 32}}, {"activations", "int8"}}),
                      kInvalid, "belong to version 2");
  FRUGAL_EXPECT_ERROR(parse(3, {{"grid", "q4_0"}, {"shape", {3, 32}}}),
                      absl::StatusCode::kUnimplemented, "version 3 is newer");
}

}  // namespace
}  // namespace frugal::format
