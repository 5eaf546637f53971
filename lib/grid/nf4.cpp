// NF4 (QLoRA, arXiv 2305.14314): 16 levels at quantiles of the normal distribution, scaled to
// [-1, 1], as published with bitsandbytes. Block: f16 scale, codes of 4 bits, the earlier column in
// the low nibble.
#include <cmath>
#include <cstring>

#include "grid/flat_grid.h"
#include "grid/group_options.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int kBits = 4;
constexpr int64_t kDefaultGroup = 64;  // QLoRA's

class Nf4 final : public FlatGrid {
 public:
  explicit Nf4(const GroupOptions& options)
      : FlatGrid({.name = "nf4" + options.suffix(),
                  .block_columns = options.group,
                  .group_columns = options.group,
                  .block_bytes = 2 + packed_bytes(kBits, options.group),
                  .parameter_bytes = 2,
                  .levels = {-1.0f, -0.6961928009986877f, -0.5250730514526367f,
                             -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
                             -0.09105003625154495f, 0.0f, 0.07958029955625534f,
                             0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
                             0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f},
                  .affine = false,
                  .uniform = false,
                  .free_scale = true,
                  .ggml_type = std::nullopt}) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, 2);
    pack_bits(kBits, codes, spec().block_columns, block + 2);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, 2);
    unpack_bits(kBits, block + 2, spec().block_columns, codes);
  }

 protected:
  float plain_scale(float largest) const override { return std::fabs(largest); }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_nf4(const GridRequest& request) {
  FRUGAL_ASSIGN_OR_RETURN(const GroupOptions options,
                          parse_group_options("nf4", request, kDefaultGroup, Asymmetry::kNone));
  return std::make_shared<Nf4>(options);
}

}  // namespace frugal::grid
