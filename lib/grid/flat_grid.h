// Grids with one fp16 scale per block and no offset: w = scale * level. Parameters: the scale [2
// bytes].
#pragma once

#include "grid/grid.h"

namespace frugal::grid {

class FlatGrid : public Grid {
 public:
  void fit(std::span<const float> x, std::span<const float> importance, bool search,
           std::byte* parameters) const override;
  void fit_fast(std::span<const BlockToFit> blocks) const override;
  void expand(const std::byte* parameters, float* scale, float* offset) const override;
  void snap(const float* scale, const float* offset, std::byte* parameters) const override;
  void set_group(int64_t group, float scale, float offset, std::byte* parameters) const override;
  void multiply(float scale_factor, float offset_factor, std::byte* parameters) const override;

 protected:
  using Grid::Grid;

  // The format's own rule without a search, before rounding to fp16; `largest`: the weight of
  // largest magnitude, with its sign.
  virtual float plain_scale(float largest) const = 0;
};

// Two 4-bit codes per byte: code j in the low and code j + count / 2 in the high nibble (the order
// of ggml).
void pack_nibble_halves(const uint8_t* codes, int64_t count, std::byte* bytes);
void unpack_nibble_halves(const std::byte* bytes, int64_t count, uint8_t* codes);

// 32 codes of 5 bits in 20 bytes: their fifth bits (bit i of a little-endian u32 belongs to code
// i), then the others as nibble halves.
void pack_five_bits(const uint8_t* codes, std::byte* bytes);
void unpack_five_bits(const std::byte* bytes, uint8_t* codes);

// low, low + 1, ..., high.
std::vector<float> integer_levels(int low, int high);
std::vector<float> iq4_levels();  // of ggml's iq4_nl and iq4_xs

}  // namespace frugal::grid
