#include "chat/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <iterator>

namespace frugal::chat {
namespace {

struct Mapping {
  char32_t from;
  char32_t to[3];  // 0: no more
};
struct Range {
  char32_t first;
  char32_t last;
};
#include "chat/case_tables.inc"

template <size_t N>
const Mapping* find_mapping(const Mapping (&table)[N], char32_t character) {
  const Mapping* found = std::lower_bound(
      std::begin(table), std::end(table), character,
      [](const Mapping& mapping, char32_t wanted) { return mapping.from < wanted; });
  return found != std::end(table) && found->from == character ? found : nullptr;
}

template <size_t N>
bool in_table(const Range (&table)[N], char32_t character) {
  const Range* found =
      std::lower_bound(std::begin(table), std::end(table), character,
                       [](const Range& range, char32_t wanted) { return range.last < wanted; });
  return found != std::end(table) && found->first <= character;
}

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

void append_mapping(std::string& out, const Mapping& mapping) {
  for (const char32_t mapped : mapping.to) {
    if (mapped != 0) append_character(out, mapped);
  }
}

void append_upper(std::string& out, char32_t character) {
  if (const Mapping* mapping = find_mapping(kUpper, character))
    append_mapping(out, *mapping);
  else
    append_character(
        out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(character))));
}

void append_title(std::string& out, char32_t character) {
  if (const Mapping* mapping = find_mapping(kTitle, character))
    append_mapping(out, *mapping);
  else
    append_character(
        out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(character))));
}

// Unicode 3.13, D136: what stands between letters without parting them.
bool is_case_ignorable(char32_t character) {
  constexpr char32_t kWithinWords[] = {0x27,   0x2E,   0x3A,   0xB7,   0x387,  0x55F,
                                       0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                       0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A};
  switch (category(character)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return std::find(std::begin(kWithinWords), std::end(kWithinWords), character) !=
             std::end(kWithinWords);
  }
}

// A sigma that ends a word (Unicode 3.13, Final_Sigma). `cased_before`: whether the last character
// before it that parts words is a cased one.
bool is_final_sigma(bool cased_before, std::string_view rest) {
  if (!cased_before) return false;
  for (size_t at = 0; at < rest.size();) {
    const char32_t next = next_character(rest, at);
    if (!is_case_ignorable(next)) return !is_cased(next);
  }
  return true;
}

constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;
constexpr char32_t kDottedCapitalI = 0x130;

// Whether a sigma that follows would stand within a word.
class WordContext {
 public:
  void pass(char32_t character) {
    if (!is_case_ignorable(character)) cased_ = is_cased(character);
  }
  bool after_cased() const { return cased_; }

 private:
  bool cased_ = false;
};

// `rest`: what follows the character.
void append_lower(std::string& out, char32_t character, std::string_view rest,
                  const WordContext& before) {
  if (character == kCapitalSigma && is_final_sigma(before.after_cased(), rest)) {
    append_character(out, kFinalSigma);
  } else if (character == kDottedCapitalI) {
    out += "i\xCC\x87";
  } else {
    append_character(
        out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))));
  }
}

}  // namespace

int64_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; });
}

char32_t next_character(std::string_view text, size_t& at) {
  const auto byte = [&](size_t index) {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : 0u;
  };
  const uint32_t first = byte(at);
  const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  uint32_t code = length == 1 ? first : first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) code = code << 6 | (byte(at + i) & 0x3F);
  at = std::min(at + length, text.size());
  return code;
}

void append_character(std::string& text, char32_t character) {
  const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | character >> 6);
    put(0x80 | (character & 0x3F));
  } else if (character < 0x10000) {
    put(0xE0 | character >> 12);
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  } else {
    put(0xF0 | character >> 18);
    put(0x80 | (character >> 12 & 0x3F));
    put(0x80 | (character >> 6 & 0x3F));
    put(0x80 | (character & 0x3F));
  }
}

size_t byte_of_character(std::string_view text, int64_t index) {
  for (size_t at = 0; at < text.size(); ++at) {
    if ((text[at] & 0xC0) != 0x80 && index-- == 0) return at;
  }
  return text.size();
}

bool is_character(uint32_t code) { return code < 0xD800 || (code >= 0xE000 && code <= 0x10FFFF); }

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t character) {
  switch (category(character)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return character == ' ';
    default:
      return true;
  }
}

bool is_alphabetic(char32_t character) {
  const utf8proc_category_t kind = category(character);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t character) { return category(character) == UTF8PROC_CATEGORY_ND; }

bool is_digit(char32_t character) { return is_decimal(character) || in_table(kDigits, character); }

bool is_lower(char32_t character) {
  return category(character) == UTF8PROC_CATEGORY_LL || in_table(kOtherLowercase, character);
}

bool is_upper(char32_t character) {
  return category(character) == UTF8PROC_CATEGORY_LU || in_table(kOtherUppercase, character);
}

bool is_cased(char32_t character) {
  return is_lower(character) || is_upper(character) || category(character) == UTF8PROC_CATEGORY_LT;
}

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_upper(out, next_character(text, at));
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  WordContext before;
  for (size_t at = 0; at < text.size();) {
    const char32_t character = next_character(text, at);
    append_lower(out, character, text.substr(at), before);
    before.pass(character);
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  WordContext before;
  bool within_word = false;
  for (size_t at = 0; at < text.size();) {
    const char32_t character = next_character(text, at);
    if (within_word)
      append_lower(out, character, text.substr(at), before);
    else
      append_title(out, character);
    within_word = is_cased(character);
    before.pass(character);
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  WordContext before;
  for (size_t at = 0; at < text.size();) {
    const bool first = at == 0;
    const char32_t character = next_character(text, at);
    if (first)
      append_title(out, character);
    else
      append_lower(out, character, text.substr(at), before);
    before.pass(character);
  }
  return out;
}

std::string_view strip(std::string_view text, Sides sides, const std::string_view* characters) {
  const auto goes = [&](std::string_view one) {
    size_t at = 0;
    if (characters == nullptr) return is_space(next_character(one, at));
    return characters->find(one) != std::string_view::npos;
  };
  while (sides != Sides::kRight && !text.empty()) {
    size_t end = 0;
    next_character(text, end);
    if (!goes(text.substr(0, end))) break;
    text.remove_prefix(end);
  }
  while (sides != Sides::kLeft && !text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
    if (!goes(text.substr(begin))) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = at;
    const char32_t c = next_character(text, at);
    const bool ends = (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 ||
                      c == 0x2028 || c == 0x2029;
    if (!ends) continue;
    if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

}  // namespace frugal::chat
