#include "text/word_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

namespace frugal::text {

WordCache::Key::Key(std::string_view word) {
  std::memcpy(words.data(), word.data(), word.size());
  words[3] |= static_cast<uint64_t>(word.size()) << 56;
  static_assert(std::endian::native == std::endian::little, "the length belongs behind the bytes");
}

// Zeroed pages come from the system when they are first written.
WordCache::WordCache()
    : slots_(static_cast<Slot*>(std::calloc(size_t{1} << kSlotBits, sizeof(Slot)))) {
  if (slots_ == nullptr) throw std::bad_alloc();
}

size_t WordCache::place(const Key& key) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15, kB = 0xC2B2AE3D27D4EB4F, kC = 0x165667B19E3779F9;
  uint64_t hash = (key.words[0] ^ std::rotl(key.words[1], 29)) * kA;
  hash ^= (key.words[2] ^ std::rotl(key.words[3], 29)) * kB;
  hash = (hash ^ hash >> 32) * kC;
  return hash >> (64 - kSlotBits);
}

bool WordCache::same(const Words& a, const Words& b) {
  return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])) == 0;
}

bool WordCache::find(const Key& key, std::vector<TokenId>& ids) const {
  const Slot& slot = slots_[place(key)];
  if (!same(slot.words, key.words)) return false;
  if (slot.count == 1)
    ids.push_back(slot.ids[0]);
  else
    ids.insert(ids.end(), slot.ids.begin(), slot.ids.begin() + slot.count);
  return true;
}

void WordCache::store(const Key& key, std::span<const TokenId> ids) {
  if (ids.size() > kMaxIds) return;
  Slot& slot = slots_[place(key)];
  slot.words = key.words;
  slot.count = static_cast<uint32_t>(ids.size());
  std::copy(ids.begin(), ids.end(), slot.ids.begin());
}

}  // namespace frugal::text
