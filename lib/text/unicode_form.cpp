#include "text/unicode_form.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "text/utf8.h"

namespace frugal::text {
namespace {

struct Form {
  bool compose, compatible;
};

std::string map(std::string_view text, Form form) {
  int options = UTF8PROC_STABLE;
  options |= form.compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form.compatible) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* raw = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &raw,
                                 static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(raw, &std::free);
  if (size < 0) throw std::bad_alloc();  // the text is valid UTF-8: only memory can run out
  return {reinterpret_cast<const char*>(raw), static_cast<size_t>(size)};
}

bool is_surrogate(char32_t c) { return c >= 0xD800 && c < 0xE000; }

struct Range {
  char32_t first, last;
};
// Hugging Face's tokenizers know the forms as Unicode 9 has them, and so do models that were
// trained with them: what came later composes with nothing and stays where it is. These are the
// later characters that utf8proc would move, compose or decompose.
constexpr std::array kLater = {
    Range{0x7FD, 0x7FD},     Range{0x898, 0x89F},     Range{0x8CA, 0x8D3},
    Range{0x9FE, 0x9FE},     Range{0xC3C, 0xC3C},     Range{0xD3B, 0xD3C},
    Range{0xEBA, 0xEBA},     Range{0x1715, 0x1715},   Range{0x1ABF, 0x1ACE},
    Range{0x1DF6, 0x1DFA},   Range{0x32FF, 0x32FF},   Range{0xA7F2, 0xA7F4},
    Range{0xA82C, 0xA82C},   Range{0xAB69, 0xAB69},   Range{0x10781, 0x10785},
    Range{0x10787, 0x107B0}, Range{0x107B2, 0x107BA}, Range{0x10D24, 0x10D27},
    Range{0x10EAB, 0x10EAC}, Range{0x10EFD, 0x10EFF}, Range{0x10F46, 0x10F50},
    Range{0x10F82, 0x10F85}, Range{0x11070, 0x11070}, Range{0x1133B, 0x1133B},
    Range{0x1145E, 0x1145E}, Range{0x11839, 0x1183A}, Range{0x11938, 0x11938},
    Range{0x1193D, 0x1193E}, Range{0x11943, 0x11943}, Range{0x119E0, 0x119E0},
    Range{0x11A34, 0x11A34}, Range{0x11A47, 0x11A47}, Range{0x11A99, 0x11A99},
    Range{0x11D42, 0x11D42}, Range{0x11D44, 0x11D45}, Range{0x11D97, 0x11D97},
    Range{0x11F41, 0x11F42}, Range{0x16FF0, 0x16FF1}, Range{0x1E030, 0x1E06D},
    Range{0x1E08F, 0x1E08F}, Range{0x1E130, 0x1E136}, Range{0x1E2AE, 0x1E2AE},
    Range{0x1E2EC, 0x1E2EF}, Range{0x1E4EC, 0x1E4EF}, Range{0x1F16C, 0x1F16C},
    Range{0x1FBF0, 0x1FBF9}};

// What a form does to the characters of a text.
class Table {
 public:
  enum class Kind : uint8_t {
    // Stays as it is whatever stands beside it, and behind it the form begins anew: no mark, its
    // own
    // form, and no later part of a decomposition, so that nothing composes with it backwards.
    kInert,
    kMoves,
    kLater,  // inert, and nothing behind it composes with it
  };

  explicit Table(Form form) : kinds_(kEnd, Kind::kInert) {
    for (const Range& range : kLater) {
      for (char32_t c = range.first; c <= range.last; ++c) kinds_[c] = Kind::kLater;
    }
    for (char32_t c = 0; c < kEnd; ++c) {
      if (!is_surrogate(c) && kinds_[c] != Kind::kLater) learn(c, form);
    }
  }
  Kind operator()(char32_t c) const { return c < kEnd ? kinds_[c] : Kind::kInert; }

 private:
  static constexpr char32_t kEnd = 0x30000;  // behind it, nothing has a form but itself

  void learn(char32_t c, Form form) {
    const utf8proc_property_t& property = *utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
    if (property.combining_class != 0) kinds_[c] = Kind::kMoves;
    const bool syllable = c >= 0xAC00 && c <= 0xD7A3;  // Hangul's are composed by rule
    if (property.decomp_seqindex == UINT16_MAX && !syllable) return;
    std::array<utf8proc_int32_t, 32> parts;  // U+FDFA has 18
    int last_class = 0;
    const int options = UTF8PROC_DECOMPOSE | (form.compatible ? UTF8PROC_COMPAT : 0);
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(), parts.size(),
                                static_cast<utf8proc_option_t>(options), &last_class);
    if (count == 1 && parts[0] == static_cast<utf8proc_int32_t>(c)) return;
    std::string own;
    append_utf8(c, own);
    if (map(own, form) != own) kinds_[c] = Kind::kMoves;
    for (auto i = decltype(count){1}; i < count; ++i) kinds_[parts[i]] = Kind::kMoves;
  }
  std::vector<Kind> kinds_;
};

template <bool compose, bool compatible>
const Table& table() {
  static const Table table({compose, compatible});
  return table;
}

const Table& table_of(Form form) {
  if (form.compatible) return form.compose ? table<true, true>() : table<false, true>();
  return form.compose ? table<true, false>() : table<false, false>();
}

}  // namespace

// Only what moves is mapped, together with the inert character in front of it.
std::string normalize_unicode(std::string_view text, std::string_view name) {
  const Form form{name.ends_with('C'), name.starts_with("NFK")};
  const Table& table = table_of(form);
  std::string out;
  size_t done = 0;   // of the text, in `out`
  size_t start = 0;  // where what moves may begin: at the last inert character
  for (size_t at = 0; at < text.size();) {
    if (static_cast<signed char>(text[at]) >= 0) {  // ASCII is inert
      start = at++;
      continue;
    }
    const Utf8Character character = first_character(text.substr(at));
    const Table::Kind kind = table(character.code_point);
    if (kind != Table::Kind::kMoves) {
      start = kind == Table::Kind::kLater ? at + character.length : at;
      at += character.length;
      continue;
    }
    while (at < text.size()) {
      const Utf8Character next = first_character(text.substr(at));
      if (table(next.code_point) != Table::Kind::kMoves) break;
      at += next.length;
    }
    out += text.substr(done, start - done);
    out += map(text.substr(start, at - start), form);
    start = done = at;
  }
  out += text.substr(done);
  return out;
}

}  // namespace frugal::text
