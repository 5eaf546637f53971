// SentencePiece's table of characters and what they become ("precompiled_charsmap"): u32 bytes of a
// trie, the trie in units of u32 (darts-clone's double array: Yata et al. 2007), then texts that
// end with a zero byte, which the trie's values point to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::text {

class CharacterMap {
 public:
  // Errors: a table that is cut off.
  static absl::StatusOr<CharacterMap> read(std::string_view table);

  // SentencePiece's way: at each place the longest entry.
  std::string apply_longest(std::string_view text) const;
  // Hugging Face's: the shortest entry at the front of each short grapheme, which stands for all of
  // it; elsewhere of each character.
  std::string apply_graphemes(std::string_view text) const;

 private:
  struct Entry {
    size_t bytes;  // of the text that it stands for
    std::string_view becomes;
  };
  // What `text` begins with.
  std::optional<Entry> longest(std::string_view text) const;
  std::optional<Entry> shortest(std::string_view text) const;
  template <typename Found>
  void for_each_prefix(std::string_view text, const Found& found) const;

  std::vector<uint32_t> units_;
  std::string texts_;
};

}  // namespace frugal::text
