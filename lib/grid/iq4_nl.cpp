// IQ4_NL of ggml: 32 weights, d * table[q]. Block: f16 d, u8 qs[16] (nibble halves).
#include "grid/flat_grid.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

class Iq4Nl final : public FlatGrid {
 public:
  Iq4Nl()
      : FlatGrid({.name = "iq4_nl",
                  .block_columns = 32,
                  .group_columns = 32,
                  .block_bytes = 18,
                  .parameter_bytes = 2,
                  .levels = iq4_levels(),
                  .affine = false,
                  .uniform = false,
                  .free_scale = true,
                  .ggml_type = 20}) {}

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
  float plain_scale(float largest) const override { return largest / -127; }
};

}  // namespace

std::vector<float> iq4_levels() {
  return {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
}

absl::StatusOr<std::shared_ptr<const Grid>> make_iq4_nl(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("iq4_nl", request));
  return std::make_shared<Iq4Nl>();
}

}  // namespace frugal::grid
