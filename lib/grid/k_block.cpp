#include "grid/k_block.h"

#include <algorithm>
#include <cmath>

#include "grid/grid.h"

namespace frugal::grid {

double KBlock::error(const KValues& scale, const KValues& offset) const {
  double total = 0;
  for (int j = 0; j < groups; ++j) {
    Candidates candidates;
    std::fill_n(candidates.scale, kCandidates, scale[j]);
    std::fill_n(candidates.offset, kCandidates, offset[j]);
    total += sums(j, candidates).rr[0];
  }
  return total;
}

float sub_scale_code(float value, float super, int lowest, int highest) {
  const auto low = static_cast<float>(lowest);
  const float code = std::nearbyintf(value * inverse_scale(super));
  return code > low ? std::min(code, static_cast<float>(highest)) : low;
}

void pack_bit_pairs(const uint8_t* codes, int shift, std::byte* bytes) {
  for (int i = 0; i < 64; ++i) {
    int value = 0;
    for (int j = 0; j < 4; ++j)
      value |= (codes[i / 32 * 128 + j * 32 + i % 32] >> shift & 3) << (2 * j);
    bytes[i] = static_cast<std::byte>(value);
  }
}

void unpack_bit_pairs(const std::byte* bytes, int shift, uint8_t* codes) {
  for (int i = 0; i < kKColumns; ++i) {
    const int value = static_cast<int>(bytes[i / 128 * 32 + i % 32]);
    codes[i] |= static_cast<uint8_t>((value >> (2 * (i % 128 / 32)) & 3) << shift);
  }
}

void pack_bit_plane(const uint8_t* codes, int shift, std::byte* bytes) {
  for (int l = 0; l < 32; ++l) {
    int value = 0;
    for (int j = 0; j < 8; ++j) value |= (codes[32 * j + l] >> shift & 1) << j;
    bytes[l] = static_cast<std::byte>(value);
  }
}

void unpack_bit_plane(const std::byte* bytes, int shift, uint8_t* codes) {
  for (int i = 0; i < kKColumns; ++i) {
    const int value = static_cast<int>(bytes[i % 32]);
    codes[i] |= static_cast<uint8_t>((value >> (i / 32) & 1) << shift);
  }
}

void pack_low_nibbles(const uint8_t* codes, int run, std::byte* bytes) {
  for (int i = 0; i < kKColumns / 2; ++i) {
    const uint8_t* const low = codes + i / run * 2 * run + i % run;
    bytes[i] = static_cast<std::byte>((low[0] & 15) | (low[run] & 15) << 4);
  }
}

void unpack_low_nibbles(const std::byte* bytes, int run, uint8_t* codes) {
  for (int i = 0; i < kKColumns / 2; ++i) {
    uint8_t* const low = codes + i / run * 2 * run + i % run;
    low[0] = static_cast<uint8_t>(bytes[i]) & 15;
    low[run] = static_cast<uint8_t>(bytes[i]) >> 4;
  }
}

}  // namespace frugal::grid
