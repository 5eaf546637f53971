#include "text/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "text/utf8.h"

namespace frugal::text {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

struct Range {
  char32_t first, last;
};
// Marks that came behind Unicode 9, whose marks Hugging Face's StripAccents knows.
constexpr std::array kLaterMarks = {
    Range{0x7FD, 0x7FD},     Range{0x898, 0x89F},     Range{0x8CA, 0x8D3},
    Range{0x9FE, 0x9FE},     Range{0xAFA, 0xAFF},     Range{0xB55, 0xB55},
    Range{0xC04, 0xC04},     Range{0xC3C, 0xC3C},     Range{0xCF3, 0xCF3},
    Range{0xD00, 0xD00},     Range{0xD3B, 0xD3C},     Range{0xD81, 0xD81},
    Range{0xEBA, 0xEBA},     Range{0xECE, 0xECE},     Range{0x1715, 0x1715},
    Range{0x180F, 0x180F},   Range{0x1ABF, 0x1ACE},   Range{0x1CF7, 0x1CF7},
    Range{0x1DF6, 0x1DFA},   Range{0xA82C, 0xA82C},   Range{0xA8FF, 0xA8FF},
    Range{0x10D24, 0x10D27}, Range{0x10EAB, 0x10EAC}, Range{0x10EFD, 0x10EFF},
    Range{0x10F46, 0x10F50}, Range{0x10F82, 0x10F85}, Range{0x11070, 0x11070},
    Range{0x11073, 0x11074}, Range{0x110C2, 0x110C2}, Range{0x11145, 0x11146},
    Range{0x111C9, 0x111C9}, Range{0x111CE, 0x111CF}, Range{0x11241, 0x11241},
    Range{0x1133B, 0x1133B}, Range{0x1145E, 0x1145E}, Range{0x1182C, 0x1183A},
    Range{0x11930, 0x11935}, Range{0x11937, 0x11938}, Range{0x1193B, 0x1193E},
    Range{0x11940, 0x11940}, Range{0x11942, 0x11943}, Range{0x119D1, 0x119D7},
    Range{0x119DA, 0x119E0}, Range{0x119E4, 0x119E4}, Range{0x11A01, 0x11A0A},
    Range{0x11A33, 0x11A39}, Range{0x11A3B, 0x11A3E}, Range{0x11A47, 0x11A47},
    Range{0x11A51, 0x11A5B}, Range{0x11A8A, 0x11A99}, Range{0x11D31, 0x11D36},
    Range{0x11D3A, 0x11D3A}, Range{0x11D3C, 0x11D3D}, Range{0x11D3F, 0x11D45},
    Range{0x11D47, 0x11D47}, Range{0x11D8A, 0x11D8E}, Range{0x11D90, 0x11D91},
    Range{0x11D93, 0x11D97}, Range{0x11EF3, 0x11EF6}, Range{0x11F00, 0x11F01},
    Range{0x11F03, 0x11F03}, Range{0x11F34, 0x11F3A}, Range{0x11F3E, 0x11F42},
    Range{0x13440, 0x13440}, Range{0x13447, 0x13455}, Range{0x16F4F, 0x16F4F},
    Range{0x16F7F, 0x16F87}, Range{0x16FE4, 0x16FE4}, Range{0x16FF0, 0x16FF1},
    Range{0x1CF00, 0x1CF2D}, Range{0x1CF30, 0x1CF46}, Range{0x1E08F, 0x1E08F},
    Range{0x1E130, 0x1E136}, Range{0x1E2AE, 0x1E2AE}, Range{0x1E2EC, 0x1E2EF},
    Range{0x1E4EC, 0x1E4EF}};

// Capitals of Unicode 16 and 17, which utf8proc does not know yet, and their small letters.
struct Capitals {
  char32_t first, last, small;  // of the first one
};
constexpr std::array kLaterCapitals = {
    Capitals{0x1C89, 0x1C89, 0x1C8A},    Capitals{0xA7CB, 0xA7CB, 0x264},
    Capitals{0xA7CC, 0xA7CC, 0xA7CD},    Capitals{0xA7CE, 0xA7CE, 0xA7CF},
    Capitals{0xA7D2, 0xA7D2, 0xA7D3},    Capitals{0xA7D4, 0xA7D4, 0xA7D5},
    Capitals{0xA7DA, 0xA7DA, 0xA7DB},    Capitals{0xA7DC, 0xA7DC, 0x19B},
    Capitals{0x10D50, 0x10D65, 0x10D70}, Capitals{0x16EA0, 0x16EB8, 0x16EBB}};

char32_t lower(char32_t c) {
  for (const Capitals& range : kLaterCapitals) {
    if (c >= range.first && c <= range.last) return range.small + (c - range.first);
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

bool is_later_mark(char32_t c) {
  return std::any_of(kLaterMarks.begin(), kLaterMarks.end(),
                     [&](const Range& range) { return c >= range.first && c <= range.last; });
}

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_mark(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return true;
    default:
      return false;
  }
}

bool is_word_character(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return is_mark(c) || c == 0x200C || c == 0x200D;
  }
}

void append_lower(char32_t c, std::string& out) {
  constexpr char32_t kDottedI = 0x130, kDotAbove = 0x307;  // the only one that becomes two
  if (c == kDottedI) {
    out += 'i';
    append_utf8(kDotAbove, out);
  } else {
    append_utf8(lower(c), out);
  }
}

void append_unless_mark(char32_t c, std::string& out) {
  const bool was_mark = c == 0x1CF2 || c == 0x1CF3;  // letters since
  if (!was_mark && (!is_mark(c) || is_later_mark(c))) append_utf8(c, out);
}

void append_nmt(char32_t c, std::string& out) {
  const bool control = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
                       c == 0x7F || c == 0x8F || c == 0x9F;
  if (control) return;
  const bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                     (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                     c == 0xFEFF || c == 0xFFFD;
  append_utf8(space ? U' ' : c, out);
}

}  // namespace frugal::text
