// Q5_0 of ggml: 32 weights, d * (q - 16); d may be negative. Block: f16 d, u32 fifth bits, u8
// qs[16] (nibble halves).
#include <cstring>

#include "grid/flat_grid.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

class Q50 final : public FlatGrid {
 public:
  Q50()
      : FlatGrid({.name = "q5_0",
                  .block_columns = 32,
                  .group_columns = 32,
                  .block_bytes = 22,
                  .parameter_bytes = 2,
                  .levels = integer_levels(-16, 15),
                  .affine = false,
                  .uniform = true,
                  .free_scale = true,
                  .ggml_type = 6}) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, 2);
    pack_five_bits(codes, block + 2);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, 2);
    unpack_five_bits(block + 2, codes);
  }

 protected:
  // As for Q4_0: level -16 has no counterpart.
  float plain_scale(float largest) const override { return largest / -16; }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q5_0(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("q5_0", request));
  return std::make_shared<Q50>();
}

}  // namespace frugal::grid
