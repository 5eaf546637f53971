// Codes of 1 to 8 bits in 32-bit words: GPTQ's and compressed-tensors' dense packing, and AWQ's
// order within a word.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace frugal::artifact {

// Words that codes lie in one after the other, from the low bits of the first word on; a code may
// lie across two words (3 bits). Words are little-endian and may be unaligned; neighbors are
// `stride` words apart.
struct WordStream {
  const std::byte* first = nullptr;
  int64_t stride = 1;

  uint32_t word(int64_t index) const {
    uint32_t value;
    std::memcpy(&value, first + index * stride * 4, sizeof value);
    return value;
  }
};

// How many words hold `count` codes.
inline int64_t words_for(int64_t count, int bits) { return (count * bits + 31) / 32; }

// Code `index` of the stream.
inline uint8_t code_at(const WordStream& stream, int64_t index, int bits) {
  const int64_t bit = index * bits;
  const int shift = static_cast<int>(bit % 32);
  uint64_t window = stream.word(bit / 32);
  if (shift + bits > 32) window |= static_cast<uint64_t>(stream.word(bit / 32 + 1)) << 32;
  return static_cast<uint8_t>((window >> shift) & ((1u << bits) - 1));
}

// The other direction: codes [count], `code_stride` apart, into words_for(count, bits) words from
// `first` on, `word_stride` words apart.
inline void pack_words(const uint8_t* codes, int64_t code_stride, int64_t count, int bits,
                       std::byte* first, int64_t word_stride) {
  uint64_t window = 0;
  int filled = 0;
  const auto store = [&] {
    const auto word = static_cast<uint32_t>(window);
    std::memcpy(first, &word, sizeof word);
    first += word_stride * 4;
    window >>= 32;
    filled -= 32;
  };
  for (int64_t i = 0; i < count; ++i) {
    window |= static_cast<uint64_t>(codes[i * code_stride]) << filled;
    filled += bits;
    if (filled >= 32) store();
  }
  if (filled > 0) store();
}

// Bits from which on the eight 4-bit codes of a word lie in AWQ's GEMM packing, by their order in
// the matrix: nibble i holds code 0, 2, 4, 6, 1, 3, 5, 7.
inline constexpr std::array<int, 8> kAwqShifts = {0, 16, 4, 20, 8, 24, 12, 28};

// Code `index` of words of eight 4-bit codes in AWQ's order.
inline uint8_t awq_code_at(const WordStream& stream, int64_t index) {
  return static_cast<uint8_t>(
      (stream.word(index / 8) >> kAwqShifts[static_cast<size_t>(index % 8)]) & 15u);
}

}  // namespace frugal::artifact
