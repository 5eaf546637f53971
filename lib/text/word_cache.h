// Ids of words that were encoded before: most segments of a text are words, and words recur.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace frugal::text {

// A table of fixed size (2 MiB, touched as it fills): a word takes the place of the one that was
// there. Long words and those of many ids are not held.
class WordCache {
 public:
  static constexpr size_t kMaxBytes = 31;
  static constexpr size_t kMaxIds = 7;

  using Words = std::array<uint64_t, 4>;

  // A word of 1 to kMaxBytes bytes, and its length in the last byte.
  struct Key {
    explicit Key(std::string_view word);
    Words words{};
  };

  WordCache();

  // Appends the ids of `key`; false where they are not known.
  bool find(const Key& key, std::vector<TokenId>& ids) const;
  // Does nothing where there are too many ids.
  void store(const Key& key, std::span<const TokenId> ids);

 private:
  struct Slot {  // one cache line; empty where all is zero: no word has the length 0
    Words words;
    uint32_t count;
    std::array<TokenId, kMaxIds> ids;
  };
  static_assert(sizeof(Slot) == 64);
  static constexpr int kSlotBits = 15;
  static size_t place(const Key& key);
  static bool same(const Words& a, const Words& b);

  struct Free {
    void operator()(Slot* slots) const { std::free(slots); }
  };
  std::unique_ptr<Slot[], Free> slots_;
};

}  // namespace frugal::text
