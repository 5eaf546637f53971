// Plain integers in groups along a row: int2, int3, int4 and int8.
//
// Symmetric: w = scale * (q - 2^(bits-1)). Block: f16 scale, codes. Asymmetric: w = scale * (q -
// zero), 0 <= zero < 2^bits. Block: f16 scale, u8 zero, codes, packed densely from the low
// bits on (pack_bits): for 2, 4 and 8 bits the value order of ONNX MatMulNBits.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "grid/flat_grid.h"
#include "grid/group_options.h"
#include "grid/half.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int64_t kDefaultGroup = 32;

struct IntOptions : GroupOptions {
  int bits = 4;
};

GridSpec int_spec(const IntOptions& options) {
  const int parameters = options.asymmetric ? 3 : 2;
  const int half = 1 << (options.bits - 1);
  return {.name = base::str_cat("int", options.bits, options.suffix()),
          .block_columns = options.group,
          .group_columns = options.group,
          .block_bytes = parameters + packed_bytes(options.bits, options.group),
          .parameter_bytes = parameters,
          .levels = options.asymmetric ? integer_levels(0, 2 * half - 1)
                                       : integer_levels(-half, half - 1),
          .affine = options.asymmetric,
          .uniform = true,
          .free_scale = true,
          .holds_zero = options.asymmetric,  // the code that equals the zero point
          .ggml_type = std::nullopt};
}

class SymmetricInt final : public FlatGrid {
 public:
  explicit SymmetricInt(const IntOptions& options)
      : FlatGrid(int_spec(options)), options_(options) {}

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, 2);
    pack_bits(options_.bits, codes, options_.group, block + 2);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, 2);
    unpack_bits(options_.bits, block + 2, options_.group, codes);
  }

 protected:
  float plain_scale(float largest) const override {
    return options_.bits == 8 ? std::fabs(largest) / 127 : largest / spec().levels.front();
  }

 private:
  IntOptions options_;
};

// Parameters: f16 scale, u8 zero point.
class AsymmetricInt final : public Grid {
 public:
  explicit AsymmetricInt(const IntOptions& options) : Grid(int_spec(options)), options_(options) {}

  void fit(std::span<const float> x, std::span<const float> importance, bool search,
           std::byte* parameters) const override {
    const ScaleAndZero plain = plain_rule(x);
    thread_local std::vector<float> weights;
    if (search && search_weights(x, importance, weights)) {
      write(search_scale_and_zero(x, weights, table(), plain), parameters);
    } else {
      write(plain, parameters);
    }
  }

  void expand(const std::byte* parameters, float* scale, float* offset) const override {
    *scale = load_half(parameters);
    *offset = -(*scale * zero_of(parameters));
  }
  void snap(const float* scale, const float* offset, std::byte* parameters) const override {
    set_group(0, *scale, offset == nullptr ? 0.0f : *offset, parameters);
  }
  void set_group(int64_t /*group*/, float scale, float offset,
                 std::byte* parameters) const override {
    const float stored = round_to_half(scale);
    write({stored, std::nearbyintf(-offset * inverse_scale(stored))}, parameters);
  }
  void multiply(float scale_factor, float /*offset_factor*/, std::byte* parameters) const override {
    store_half(load_half(parameters) * scale_factor, parameters);  // the zero point is no scale
  }

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, 3);
    pack_bits(options_.bits, codes, options_.group, block + 3);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, 3);
    unpack_bits(options_.bits, block + 3, options_.group, codes);
  }
  // Zero points are codes: more could be decoded, but not exported.
  bool valid(const std::byte* parameters) const override {
    return zero_of(parameters) <= spec().levels.back();
  }

 private:
  static float zero_of(const std::byte* parameters) {
    return static_cast<float>(static_cast<uint8_t>(parameters[2]));
  }

  void write(ScaleAndZero values, std::byte* parameters) const {
    store_half(values.scale, parameters);
    const float zero =
        values.zero_point > 0 ? std::min(values.zero_point, spec().levels.back()) : 0.0f;
    parameters[2] = static_cast<std::byte>(static_cast<int>(zero));
  }

  ScaleAndZero plain_rule(std::span<const float> x) const {
    const float low = std::min(0.0f, *std::min_element(x.begin(), x.end()));
    const float high = std::max(0.0f, *std::max_element(x.begin(), x.end()));
    const float scale = round_to_half(high / spec().levels.back() - low / spec().levels.back());
    return {scale,
            std::clamp(std::nearbyintf(-low * inverse_scale(scale)), 0.0f, spec().levels.back())};
  }

  IntOptions options_;
};

absl::StatusOr<std::shared_ptr<const Grid>> make_int(int bits, const GridRequest& request) {
  FRUGAL_ASSIGN_OR_RETURN(
      const GroupOptions group,
      parse_group_options(base::str_cat("int", bits), request, kDefaultGroup, Asymmetry::kAllowed));
  const IntOptions options{group, bits};
  if (options.asymmetric) return std::make_shared<AsymmetricInt>(options);
  return std::make_shared<SymmetricInt>(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_int2(const GridRequest& request) {
  return make_int(2, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_int3(const GridRequest& request) {
  return make_int(3, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_int4(const GridRequest& request) {
  return make_int(4, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_int8(const GridRequest& request) {
  return make_int(8, request);
}

}  // namespace frugal::grid
