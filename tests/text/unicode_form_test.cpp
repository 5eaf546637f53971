#include "text/unicode_form.h"

#include <utf8proc.h>

#include "base/random.h"
#include "support/shared_data.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

TEST(UnicodeForm, Examples) {
  EXPECT_EQ(normalize_unicode("e\u0301", "NFC"), "\u00e9");
  EXPECT_EQ(normalize_unicode("\u00e9", "NFD"), "e\u0301");
  EXPECT_EQ(normalize_unicode("\u212b", "NFC"), "\u00c5");
  EXPECT_EQ(normalize_unicode("\ufb01", "NFC"), "\ufb01");
  EXPECT_EQ(normalize_unicode("\ufb01\u00b2", "NFKC"), "fi2");
  EXPECT_EQ(normalize_unicode("가", "NFD"), "\u1100\u1161");
  EXPECT_EQ(normalize_unicode(std::string_view("a\0\u0301", 4), "NFC"),
            std::string_view("a\0\u0301", 4));
  EXPECT_EQ(normalize_unicode("plain", "NFKD"), "plain");
  EXPECT_EQ(normalize_unicode("\u0301e\u0301", "NFC"), "\u0301\u00e9");
}

// U+1AC1 is of Unicode 14 and would go behind the overlay.
TEST(UnicodeForm, LaterCharactersStayWhereTheyAre) {
  EXPECT_EQ(normalize_unicode("a\u1ac1\u0334", "NFC"), "a\u1ac1\u0334");
  EXPECT_EQ(normalize_unicode("a\u1ac1\u0301\u0323", "NFC"), "a\u1ac1\u0323\u0301");
  EXPECT_EQ(normalize_unicode("\U00011935\U00011930", "NFC"), "\U00011935\U00011930");
  EXPECT_EQ(normalize_unicode("\U00011938", "NFD"), "\U00011938");
}

std::string whole(std::string_view text, int options) {
  utf8proc_uint8_t* raw = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &raw,
                                 static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  std::string out(reinterpret_cast<const char*>(raw), static_cast<size_t>(size));
  std::free(raw);
  return out;
}

// Texts of what composes, decomposes and changes places.
TEST(UnicodeForm, PartsAreNormalizedAsTheWholeIs) {
  constexpr std::string_view kParts[] = {
      "a",          "e",          "<",      " ",      "é",      "\u0301", "\u0308",
      "\u0323",     "\u0327",     "\u0338", "가",     "\u1100", "\u1161", "\u11a8",
      "\u212b",     "ﬁ",          "²",      "नि",     "\u0958", "\u093c", "\u09c7",
      "\u09be",     "ש",          "\u05bc", "\u0344", "\u0f71", "\u0f72", "中",
      "\U0001F600", "\U0001D15E", "\u3099", "か",     "\u1026", "\u102e"};
  const std::pair<const char*, int> forms[] = {{"NFC", UTF8PROC_COMPOSE},
                                               {"NFD", UTF8PROC_DECOMPOSE},
                                               {"NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
                                               {"NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
  base::RandomStream random(4, "unicode-form");
  for (const auto& [name, options] : forms) {
    for (int round = 0; round < 20000; ++round) {
      std::string text;
      for (uint64_t n = random.below(10); n > 0; --n) {
        if (random.below(4) == 0)
          append_utf8(static_cast<char32_t>(1 + random.below(0x7F0)), text);
        else
          text += kParts[random.below(std::size(kParts))];
      }
      ASSERT_EQ(normalize_unicode(text, name), whole(text, options)) << name << " of '" << text;
    }
  }
}

}  // namespace
}  // namespace frugal::text
