// What ggml's K types share: blocks of 256 weights in groups with integer sub-scales under fp16
// super-scales.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "grid/scale_search.h"

namespace frugal::grid {

inline constexpr int kKColumns = 256;
inline constexpr int kLargestKGroups = 16;

// One value per group; those beyond the type's groups are unused.
using KValues = std::array<float, kLargestKGroups>;

// The parameters of a block with offsets in numbers: scales d s, offsets -dmin m. d and dmin are
// values of fp16; s and m whole numbers.
struct AffineKValues {
  float d = 0;
  float dmin = 0;
  KValues s{};
  KValues m{};

  KValues scales() const {
    KValues scale;
    for (int j = 0; j < kLargestKGroups; ++j) scale[j] = d * s[j];
    return scale;
  }
  KValues offsets() const {
    KValues offset;
    for (int j = 0; j < kLargestKGroups; ++j) offset[j] = -(dmin * m[j]);
    return offset;
  }
};

// The same without offsets.
struct SignedKValues {
  float d = 0;
  KValues s{};

  KValues scales() const {
    KValues scale;
    for (int j = 0; j < kLargestKGroups; ++j) scale[j] = d * s[j];
    return scale;
  }
};

// What the weighted search works on: one block, the levels of its grid and the size of its groups.
struct KBlock {
  std::span<const float> x;
  std::span<const float> weights;
  LevelTable table;
  int groups = 0;

  int columns() const { return kKColumns / groups; }
  std::span<const float> group_x(int j) const { return x.subspan(j * columns(), columns()); }
  std::span<const float> group_weights(int j) const {
    return weights.subspan(j * columns(), columns());
  }
  CandidateSums sums(int j, const Candidates& candidates) const {
    CandidateSums out;
    scale_kernel().sums(group_x(j).data(), group_weights(j).data(), columns(), candidates, table,
                        out);
    return out;
  }
  // The block's weighted error with these expanded scales and offsets.
  double error(const KValues& scale, const KValues& offset) const;
};

// The integer in [lowest, highest] whose multiple of `super` is nearest to `value`; NaN: lowest.
float sub_scale_code(float value, float super, int lowest, int highest);

// Where K types put the bits of their 256 codes.

// Bits `shift` and up of each code, two of them: byte 32 h + l of 64 holds columns 128 h + 32 j +
// l, j = 0..3, from the low bits on.
void pack_bit_pairs(const uint8_t* codes, int shift, std::byte* bytes);
void unpack_bit_pairs(const std::byte* bytes, int shift, uint8_t* codes);  // ors into `codes`

// Bit `shift` of each code: bit j of byte l of 32 belongs to column 32 j + l.
void pack_bit_plane(const uint8_t* codes, int shift, std::byte* bytes);
void unpack_bit_plane(const std::byte* bytes, int shift, uint8_t* codes);  // ors into `codes`

// The low four bits of each code in 128 bytes: each `run` columns in the low nibbles, the next
// `run` in the high ones.
void pack_low_nibbles(const uint8_t* codes, int run, std::byte* bytes);
void unpack_low_nibbles(const std::byte* bytes, int run, uint8_t* codes);  // overwrites `codes`

}  // namespace frugal::grid
