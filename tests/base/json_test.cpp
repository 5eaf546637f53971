#include "base/json.h"

#include <cmath>
#include <fstream>
#include <limits>

#include "base/random.h"
#include "support/shared_data.h"

namespace frugal::base {
namespace {

using namespace std::string_literals;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string message_of(std::string_view text) {
  const auto value = parse_json(text, "f.json");
  return value.ok() ? "accepted: " + value->dump() : std::string(value.status().message());
}

TEST(Json, KeepsOrderTypesAndNumbers) {
  const char* text =
      R"({"z":1,"a":[true,null,-7,1.5,"ä\n"],"big":18446744073709551615,"o":{"y":{},"x":[]}})";
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json value, parse_json(text, "t"));
  EXPECT_EQ(value.dump(), text);
  EXPECT_TRUE(value["a"][2].is_number_integer());
  EXPECT_EQ(value["big"].get<uint64_t>(), std::numeric_limits<uint64_t>::max());
}

TEST(Json, AcceptsBareValuesAndWhiteSpace) {
  EXPECT_EQ(parse_json(" \r\n\t7 ", "t").value(), 7);
  EXPECT_EQ(parse_json("\"\"", "t").value(), "");
  EXPECT_TRUE(parse_json("null", "t").value().is_null());
}

TEST(Json, RefusesDuplicateKeysWithTheirPlace) {
  EXPECT_EQ(message_of("{\"a\": 1,\n  \"b\": 2, \"a\": 3}"),
            "f.json:2:11: the key 'a' stands twice in one object");
  // The place is right for keys with escapes, and in deep and in large objects.
  EXPECT_EQ(message_of(R"([{"q\"\\": 1, "q\"\\" : 2}])"),
            "f.json:1:15: the key 'q\"\\' stands twice in one object");
  std::string large = "{";
  for (int i = 0; i < 100; ++i) large += str_cat("\"k", i, "\":0,\n");
  EXPECT_EQ(message_of(large + "\"k50\":1}"),
            "f.json:101:1: the key 'k50' stands twice in one object");
  // Equal after unescaping is equal.
  EXPECT_EQ(message_of(R"({"a":1,"\u0061":2})"),
            "f.json:1:8: the key 'a' stands twice in one object");
  FRUGAL_EXPECT_OK(parse_json(R"([{"a":1},{"a":2},{"b":{"a":3}}])", "t"));
}

TEST(Json, BoundsNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  FRUGAL_EXPECT_OK(parse_json(nested(128), "t"));
  EXPECT_EQ(message_of(nested(129)), "f.json:1:129: nested deeper than 128 levels");
  EXPECT_EQ(message_of(std::string(5'000'000, '[')), "f.json:1:129: nested deeper than 128 levels");
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  EXPECT_THAT(message_of(objects), testing::HasSubstr("nested deeper than 128 levels"));
}

TEST(Json, RefusesHostileText) {
  for (const std::string& text :
       {""s,         " "s,       "{"s,           "[1,]"s,     "{\"a\":1,}"s,
        "{a:1}"s,    "{'a':1}"s, "[1 2]"s,       "tru"s,      "NaN"s,
        "Infinity"s, "01"s,      "+1"s,          ".5"s,       "1."s,
        "1e"s,       "1e999"s,   "[1]]"s,        "{} {}"s,    "// c\n1"s,
        "\"\x01\""s, "\"\\x\""s, "\"\\ud800\""s, "\"\xff\""s, "\"\xc0\x80\""s,
        "\"abc"s,    "{\"a\"}"s, "{}\0{}"s,      "\0"s,       "[1,\0 2]"s}) {
    const auto value = parse_json(text, "f.json");
    EXPECT_EQ(value.status().code(), kInvalid) << testing::PrintToString(text);
    EXPECT_THAT(std::string(value.status().message()),
                testing::MatchesRegex("f\\.json:[0-9]+:[0-9]+: .+"));
  }
}

TEST(Json, NamesThePlaceOfASyntaxError) {
  EXPECT_THAT(message_of("{\n  \"a\": 1,\n  \"b\" 2\n}"), testing::StartsWith("f.json:3:7: "));
  EXPECT_THAT(message_of("[1, 2"), testing::StartsWith("f.json:1:6: "));
}

// Whatever one byte of a valid text becomes: an answer or an error, and what was accepted prints
// and parses again.
TEST(Json, SurvivesDamagedText) {
  const std::string text = R"({"a":[1,-2.5e3,"x\u00e9\\"],"b":{"c":null,"d":[[],{}]},"e":true})";
  RandomStream random(3, "json/damage");
  for (int trial = 0; trial < 20000; ++trial) {
    std::string damaged = text;
    for (uint64_t i = 1 + random.below(3); i > 0; --i) {
      damaged[random.below(damaged.size())] = static_cast<char>(random.below(256));
    }
    const auto value = parse_json(damaged, "t");
    if (!value.ok()) continue;
    const auto again = parse_json(value->dump(), "t");
    FRUGAL_ASSERT_OK(again);
    EXPECT_EQ(*again, *value);
  }
}

TEST(Json, ReadsAVocabularyInLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += str_cat(i == 0 ? "" : ",", "\"token-", i, "\":", i);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Json value,
                              parse_json(text + "}", "t"));  // minutes, were it quadratic
  EXPECT_EQ(value.size(), 200000u);
  EXPECT_EQ(value.back(), 199999);
}

TEST(Json, TypedAccessNamesWhereAndWhat) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const Json value,
      parse_json(
          R"({"i":7,"d":1.5,"s":"x","b":true,"n":null,"u":18446744073709551615,"o":{"k":1}})",
          "t"));
  EXPECT_EQ(json_get<int64_t>(value, "i", "c").value(), 7);
  EXPECT_EQ(json_get<double>(value, "i", "c").value(), 7.0);
  EXPECT_EQ(json_get<double>(value, "d", "c").value(), 1.5);
  EXPECT_EQ(json_get<std::string>(value, "s", "c").value(), "x");
  EXPECT_EQ(json_get<bool>(value, "b", "c").value(), true);
  EXPECT_EQ(json_get<Json>(value, "o", "c").value()["k"], 1);
  FRUGAL_EXPECT_ERROR(json_get<int64_t>(value, "d", "c.json"), kInvalid,
                      "c.json: 'd' is 1.5, expected an integer");
  FRUGAL_EXPECT_ERROR(json_get<int64_t>(value, "u", "c"), kInvalid,
                      "expected an integer of 64 bits");
  FRUGAL_EXPECT_ERROR(json_get<int64_t>(value, "b", "c"), kInvalid, "'b' is true");
  FRUGAL_EXPECT_ERROR(json_get<std::string>(value, "o", "c"), kInvalid,
                      "'o' is an object of 1 members");
  FRUGAL_EXPECT_ERROR(json_get<std::string>(value, "n", "c"), kInvalid,
                      "'n' is null, expected a string");
  FRUGAL_EXPECT_ERROR(json_get<bool>(value, "x", "c"), kInvalid, "c: the key 'x' is missing");
  FRUGAL_EXPECT_ERROR(json_get<bool>(Json(3), "x", "c"), kInvalid, "expected an object");
}

TEST(Json, FallbackIsForAbsentAndNullOnly) {
  const Json value = {{"i", 7}, {"n", nullptr}};
  EXPECT_EQ(json_get_or<int64_t>(value, "i", 1, "c").value(), 7);
  EXPECT_EQ(json_get_or<int64_t>(value, "n", 1, "c").value(), 1);
  EXPECT_EQ(json_get_or<std::string>(value, "x", "f", "c").value(), "f");
  FRUGAL_EXPECT_ERROR(json_get_or<std::string>(value, "i", "f", "c"), kInvalid,
                      "'i' is 7, expected a string");
}

TEST(Json, NotFiniteBecomesNull) {
  EXPECT_EQ(finite_or_null(0.5).dump(), "0.5");
  EXPECT_TRUE(finite_or_null(std::nan("")).is_null());
  EXPECT_TRUE(finite_or_null(-std::numeric_limits<double>::infinity()).is_null());
}

TEST(Json, NumbersRoundTrip) {
  RandomStream random(5, "json/numbers");
  for (int trial = 0; trial < 2000; ++trial) {
    const double value = random.normal() * std::exp(40 * random.normal());
    EXPECT_EQ(parse_json(Json(value).dump(), "t").value().get<double>(), value);
  }
}

TEST(Json, ReadsFilesWithABound) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "a.json";
  std::ofstream(path) << "{\"a\": 1}";
  EXPECT_EQ(read_json(path).value()["a"], 1);
  FRUGAL_EXPECT_ERROR(read_json(path, 4), absl::StatusCode::kResourceExhausted, "at most 4");
  FRUGAL_EXPECT_ERROR(read_json(folder.path() / "none"), absl::StatusCode::kNotFound, "none");
  std::ofstream(path) << "{";
  FRUGAL_EXPECT_ERROR(read_json(path), kInvalid, path.string() + ":1:2");
}

}  // namespace
}  // namespace frugal::base
