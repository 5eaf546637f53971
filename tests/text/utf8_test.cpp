#include "text/utf8.h"

#include <gtest/gtest.h>

namespace frugal::text {
namespace {

using State = Utf8Character::State;

TEST(Utf8, ReadsWhatItWrites) {
  for (const char32_t c : {U'\0', U'a', U'\u007f', U'\u0080', U'\u07ff', U'\u0800', U'\ud7ff',
                           U'\ue000', U'\uffff', U'\U00010000', U'\U0010ffff'}) {
    std::string text;
    append_utf8(c, text);
    const Utf8Character read = first_character(text);
    EXPECT_EQ(read.state, State::kValid);
    EXPECT_EQ(read.code_point, c);
    EXPECT_EQ(read.length, text.size());
  }
}

TEST(Utf8, TellsCutFromDamaged) {
  EXPECT_EQ(first_character("\xE2\x96").state, State::kIncomplete);
  EXPECT_EQ(first_character("\xF0").state, State::kIncomplete);
  for (const char* damaged :
       {"\x80", "\xC0\xAF", "\xC1\x80", "\xE0\x9F\x80", "\xED\xA0\x80", "\xF0\x8F\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80", "\xFF", "\xE2(\x81"}) {
    EXPECT_EQ(first_character(damaged).state, State::kInvalid) << damaged;
  }
}

// Python: b"...".decode("utf-8", errors="replace").
TEST(Utf8, RepairsAsPythonDoes) {
  std::string storage;
  EXPECT_EQ(repair_utf8("a\xF1\x80\x80\xE1\x80\xC2"
                        "b\x80"
                        "c\x80\xBF"
                        "d",
                        storage),
            "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
  EXPECT_EQ(repair_utf8("\xED\xA0\x80", storage), "\uFFFD\uFFFD\uFFFD");
  const std::string_view valid = "né";
  EXPECT_EQ(repair_utf8(valid, storage).data(), valid.data());  // not copied
}

}  // namespace
}  // namespace frugal::text
