#include "energy/strict_yaml.h"

#include "support/shared_data.h"

namespace frugal::energy {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(StrictYaml, ReadsTypedValues) {
  StrictMap map = StrictMap::parse("a: text\nb: 1.5\nc: 7\nd: {e: on}\n", "f");
  EXPECT_EQ(map.text("a"), "text");
  EXPECT_EQ(map.number("b", 0, 2), 1.5);
  EXPECT_EQ(map.integer("c", 0, 9), 7);
  EXPECT_EQ(map.map("d").choice("e", {"on", "off"}), "on");
  EXPECT_EQ(map.text_or("x", "fallback"), "fallback");
  EXPECT_EQ(map.number_or_none("y", 0, 1), std::nullopt);
  EXPECT_FALSE(map.map_or_none("z").has_value());
  FRUGAL_EXPECT_OK(map.finish());
}

TEST(StrictYaml, UnknownKeysAreErrorsAtEveryDepth) {
  StrictMap map = StrictMap::parse("alpha: 1\nbeta: {gamma: 1, gama: 2}\n", "f");
  map.number("alpha", 0, 9);
  map.map("beta").number("gamma", 0, 9);
  FRUGAL_EXPECT_ERROR(map.finish(), kInvalid, "f:2:18: unknown key 'gama'; did you mean 'gamma'?");
}

TEST(StrictYaml, DuplicateKeysAreErrors) {
  StrictMap map = StrictMap::parse("a: 1\na: 2\n", "f");
  map.number("a", 0, 9);
  FRUGAL_EXPECT_ERROR(map.finish(), kInvalid, "f:2:1: the key 'a' stands twice");
}

TEST(StrictYaml, WrongTypesAreErrors) {
  StrictMap map =
      StrictMap::parse("a: [1]\nb: {c: 1}\nd: 5\ne: 1,5\nf: 0x10\ng: nan\nh: 2.5\ni: ''\n", "f");
  map.number("a", 0, 9);
  map.text("b");
  map.map("d");
  map.number("e", 0, 9);
  map.number("f", 0, 99);
  map.number("g", 0, 9);
  map.integer("h", 0, 9);
  map.text("i");
  const absl::Status status = map.finish();
  for (const char* text :
       {"f:1:1: 'a' must be one value", "f:2:1: 'b' must be one value",
        "f:3:1: 'd' must be a mapping", "f:4:1: 'e' is '1,5', expected a number from 0 to 9",
        "f:5:1: 'f' is '0x10'", "f:6:1: 'g' is 'nan'", "f:7:1: 'h' must be a whole number",
        "f:8:1: 'i' is empty"}) {
    FRUGAL_EXPECT_ERROR(status, kInvalid, text);
  }
}

TEST(StrictYaml, SurvivesWhatIsNoMapping) {
  for (const char* text :
       {"", "- 1\n", "word", "a: [", "{a: 1", "a: 1\n b: 2\n", "? [x]\n: 1\n", "\t- x", "*a"}) {
    StrictMap map = StrictMap::parse(text, "f");
    map.text("name");
    map.map("inner").number("x", 0, 1);
    EXPECT_EQ(map.finish().code(), kInvalid) << text;
  }
}

}  // namespace
}  // namespace frugal::energy
