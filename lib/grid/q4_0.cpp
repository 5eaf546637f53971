// Q4_0 of ggml: 32 weights, d * (q - 8); d may be negative. Block: f16 d, u8 qs[16] (nibble
// halves).
#include "grid/flat_grid.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

class Q40 final : public FlatGrid {
 public:
  Q40()
      : FlatGrid({.name = "q4_0",
                  .block_columns = 32,
                  .group_columns = 32,
                  .block_bytes = 18,
                  .parameter_bytes = 2,
                  .levels = integer_levels(-8, 7),
                  .affine = false,
                  .uniform = true,
                  .free_scale = true,
                  .ggml_type = 2}) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    block[0] = parameters[0];
    block[1] = parameters[1];
    pack_nibble_halves(codes, 32, block + 2);
  }

  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    parameters[0] = block[0];
    parameters[1] = block[1];
    unpack_nibble_halves(block + 2, 32, codes);
  }

 protected:
  // The weight of largest magnitude falls on level -8, which has no counterpart +8.
  float plain_scale(float largest) const override { return largest / -8; }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q4_0(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("q4_0", request));
  return std::make_shared<Q40>();
}

}  // namespace frugal::grid
