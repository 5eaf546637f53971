// Q8_0 of ggml: 32 weights, d * q. Block: f16 d, i8 q[32]. Code = q + 128.
#include <cmath>

#include "grid/flat_grid.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

class Q80 final : public FlatGrid {
 public:
  Q80()
      : FlatGrid({.name = "q8_0",
                  .block_columns = 32,
                  .group_columns = 32,
                  .block_bytes = 34,
                  .parameter_bytes = 2,
                  .levels = integer_levels(-128, 127),
                  .affine = false,
                  .uniform = true,
                  .free_scale = true,
                  .ggml_type = 8}) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    block[0] = parameters[0];
    block[1] = parameters[1];
    for (int i = 0; i < 32; ++i)
      block[2 + i] = static_cast<std::byte>(codes[i] ^ 128);  // i8 as two's complement
  }

  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    parameters[0] = block[0];
    parameters[1] = block[1];
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(block[2 + i]) ^ 128;
  }

 protected:
  float plain_scale(float largest) const override { return std::fabs(largest) / 127; }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q8_0(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("q8_0", request));
  return std::make_shared<Q80>();
}

}  // namespace frugal::grid
