// ggml's types of two bits with one scale for many weights.
//
//   q2_0    groups of 64, d * (q - 1), q = 0..3; d may be negative. Block: f16 d, u8 qs[16] (the
//           earlier column in the lower bits).
//   tq2_0   groups of 256, d * (q - 1), q = 0..2: for models trained to have three values. Block:
//   u8
//           qs[64] (as of K types), f16 d.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "grid/flat_grid.h"
#include "grid/group_options.h"
#include "grid/k_block.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int kScaleBytes = 2;

class TwoBits : public FlatGrid {
 protected:
  using FlatGrid::FlatGrid;
  // The largest weight, of either sign, on a level of size 1.
  float plain_scale(float largest) const override { return std::fabs(largest); }
};

class Q20 final : public TwoBits {
 public:
  Q20()
      : TwoBits({.name = "q2_0",
                 .block_columns = 64,
                 .group_columns = 64,
                 .block_bytes = 18,
                 .parameter_bytes = kScaleBytes,
                 .levels = integer_levels(-1, 2),
                 .uniform = true,
                 .free_scale = true,
                 .ggml_type = 42}) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, kScaleBytes);
    pack_bits(2, codes, spec().block_columns, block + kScaleBytes);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, kScaleBytes);
    unpack_bits(2, block + kScaleBytes, spec().block_columns, codes);
  }
};

class Tq20 final : public TwoBits {
 public:
  static constexpr int kCodeBytes = kKColumns / 4;

  Tq20()
      : TwoBits({.name = "tq2_0",
                 .block_columns = kKColumns,
                 .group_columns = kKColumns,
                 .block_bytes = kCodeBytes + kScaleBytes,
                 .parameter_bytes = kScaleBytes,
                 .levels = integer_levels(-1, 1),
                 .uniform = true,
                 .free_scale = true,
                 .ggml_type = 35}) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    pack_bit_pairs(codes, 0, block);
    std::memcpy(block + kCodeBytes, parameters, kScaleBytes);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::fill_n(codes, kKColumns, uint8_t{0});
    unpack_bit_pairs(block, 0, codes);
    std::memcpy(parameters, block + kCodeBytes, kScaleBytes);
  }
  // A fourth value is no part of the type, whatever a decoder makes of it.
  bool readable(const std::byte* block) const override {
    return std::none_of(block, block + kCodeBytes, [](std::byte codes) {
      const int bits = static_cast<int>(codes);
      return (bits & bits >> 1 & 0x55) != 0;
    });
  }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q2_0(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("q2_0", request));
  return std::make_shared<Q20>();
}
absl::StatusOr<std::shared_ptr<const Grid>> make_tq2_0(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("tq2_0", request));
  return std::make_shared<Tq20>();
}

}  // namespace frugal::grid
