// FP8 E4M3 (float8.h) under a scale per row or group. Block: f16 scale, one byte per column as the
// format defines it; 0x00 is written for zero, 0x80 is read as such.
#include <cmath>
#include <cstring>

#include "grid/flat_grid.h"
#include "grid/float8.h"
#include "grid/group_options.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int64_t kWholeRow = 0;
constexpr int kSign = 0x80;
constexpr int kNotANumber = 0x7f;

class Fp8 final : public FlatGrid {
 public:
  explicit Fp8(const GroupOptions& options)
      : FlatGrid({.name = "fp8" + options.suffix(),
                  .block_columns = options.group,
                  .group_columns = options.group,
                  .block_bytes = 2 + options.group,
                  .parameter_bytes = 2,
                  .levels = float8_levels(),
                  .affine = false,
                  .uniform = false,
                  .float8 = true,
                  .free_scale = true,
                  .ggml_type = std::nullopt}) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, 2);
    for (int64_t i = 0; i < spec().block_columns; ++i) {
      const int m = codes[i] - kFloat8Zero;
      block[2 + i] = static_cast<std::byte>(m < 0 ? kSign | -m : m);
    }
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, 2);
    for (int64_t i = 0; i < spec().block_columns; ++i) {
      const int byte = static_cast<int>(block[2 + i]);
      const int m = byte & ~kSign;
      codes[i] = static_cast<uint8_t>(kFloat8Zero + ((byte & kSign) != 0 ? -m : m));
    }
  }
  bool readable(const std::byte* block) const override {
    for (int64_t i = 0; i < spec().block_columns; ++i) {
      if ((static_cast<int>(block[2 + i]) & ~kSign) == kNotANumber) return false;
    }
    return true;
  }

 protected:
  float plain_scale(float largest) const override { return std::fabs(largest) / kLargestFloat8; }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_fp8(const GridRequest& request) {
  FRUGAL_ASSIGN_OR_RETURN(const GroupOptions options,
                          parse_group_options("fp8", request, kWholeRow, Asymmetry::kNone));
  return std::make_shared<Fp8>(options);
}

}  // namespace frugal::grid
