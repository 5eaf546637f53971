#include "text/character_map.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"
#include "text/utf8.h"

namespace frugal::text {
namespace {

// A unit of the double array.
size_t offset_of(uint32_t unit) { return size_t{unit >> 10} << ((unit & (1u << 9)) >> 6); }
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t label_of(uint32_t unit) { return unit & (0x80000000u | 0xFF); }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFFu; }

struct Range {
  char32_t first, last;
};
// Marks of Unicode 16 and 17, which Hugging Face's tokenizers know and utf8proc takes for letters.
constexpr std::array kNewMarks = {
    Range{0x897, 0x897},     Range{0x1ACF, 0x1ADD},   Range{0x1AE0, 0x1AEB},
    Range{0x10D69, 0x10D6D}, Range{0x10EFA, 0x10EFC}, Range{0x113B8, 0x113C0},
    Range{0x113C2, 0x113C2}, Range{0x113C5, 0x113C5}, Range{0x113C7, 0x113CA},
    Range{0x113CC, 0x113D0}, Range{0x113D2, 0x113D2}, Range{0x113E1, 0x113E2},
    Range{0x11B60, 0x11B67}, Range{0x11F5A, 0x11F5A}, Range{0x1611E, 0x1612F},
    Range{0x1E5EE, 0x1E5EF}, Range{0x1E6E3, 0x1E6E3}, Range{0x1E6E6, 0x1E6E6},
    Range{0x1E6EE, 0x1E6EF}, Range{0x1E6F5, 0x1E6F5}};

// For the question of where graphemes end.
utf8proc_int32_t code_point(const Utf8Character& character) {
  constexpr char32_t kAnyMark = 0x301;
  const char32_t c = character.code_point;
  const bool mark = std::any_of(kNewMarks.begin(), kNewMarks.end(), [&](const Range& range) {
    return c >= range.first && c <= range.last;
  });
  return static_cast<utf8proc_int32_t>(mark ? kAnyMark : c);
}

// The grapheme cluster at the front of `text`.
size_t grapheme_bytes(std::string_view text) {
  Utf8Character before = first_character(text);
  utf8proc_int32_t state = 0;
  size_t at = before.length;
  while (at < text.size()) {
    const Utf8Character next = first_character(text.substr(at));
    if (utf8proc_grapheme_break_stateful(code_point(before), code_point(next), &state)) break;
    at += next.length;
    before = next;
  }
  return at;
}

}  // namespace

absl::StatusOr<CharacterMap> CharacterMap::read(std::string_view table) {
  uint32_t trie_bytes = 0;
  if (table.size() >= sizeof trie_bytes) std::memcpy(&trie_bytes, table.data(), sizeof trie_bytes);
  if (table.size() < sizeof trie_bytes || trie_bytes > table.size() - sizeof trie_bytes ||
      trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0) {
    return base::invalid_argument("a character map of ", table.size(),
                                  " bytes, whose trie is to have ", trie_bytes);
  }
  CharacterMap map;
  map.units_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(map.units_.data(), table.data() + sizeof trie_bytes, trie_bytes);
  map.texts_ = table.substr(sizeof trie_bytes + trie_bytes);
  if (!map.texts_.ends_with('\0'))
    return base::invalid_argument("a character map whose last text does not end");
  if (!base::is_valid_utf8(map.texts_))
    return base::invalid_argument("a character map with texts that are no UTF-8");
  return map;
}

// Values and offsets are the file's: all are checked.
template <typename Found>
void CharacterMap::for_each_prefix(std::string_view text, const Found& found) const {
  size_t at = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) return;
    const uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if (at >= units_.size()) return;
    if (!has_value(unit)) continue;
    const size_t value = value_of(units_[at]);
    if (value >= texts_.size()) return;
    // In the middle of a character no text begins.
    if ((static_cast<unsigned char>(texts_[value]) & 0xC0) == 0x80) return;
    const std::string_view becomes(texts_.data() + value);
    if (!found(Entry{i + 1, becomes})) return;
  }
}

std::optional<CharacterMap::Entry> CharacterMap::longest(std::string_view text) const {
  std::optional<Entry> last;
  for_each_prefix(text, [&](const Entry& entry) {
    last = entry;
    return true;
  });
  return last;
}

std::optional<CharacterMap::Entry> CharacterMap::shortest(std::string_view text) const {
  std::optional<Entry> first;
  for_each_prefix(text, [&](const Entry& entry) {
    first = entry;
    return false;
  });
  return first;
}

std::string CharacterMap::apply_longest(std::string_view text) const {
  std::string out;
  while (!text.empty()) {
    const size_t character = first_character(text).length;
    const std::optional<Entry> entry = longest(text);
    // An entry for a part of a character is none.
    const bool whole = entry && (entry->bytes == text.size() ||
                                 (static_cast<unsigned char>(text[entry->bytes]) & 0xC0) != 0x80);
    out += whole ? entry->becomes : text.substr(0, character);
    text.remove_prefix(whole ? entry->bytes : character);
  }
  return out;
}

std::string CharacterMap::apply_graphemes(std::string_view text) const {
  constexpr size_t kShort = 6;
  std::string out;
  while (!text.empty()) {
    const std::string_view grapheme = text.substr(0, grapheme_bytes(text));
    text.remove_prefix(grapheme.size());
    const std::optional<Entry> entry = grapheme.size() < kShort ? shortest(grapheme) : std::nullopt;
    if (entry) {
      out += entry->becomes;
      continue;
    }
    for (size_t at = 0; at < grapheme.size();) {
      const std::string_view part =
          grapheme.substr(at, first_character(grapheme.substr(at)).length);
      const std::optional<Entry> own = shortest(part);
      out += own ? own->becomes : part;
      at += part.size();
    }
  }
  return out;
}

}  // namespace frugal::text
