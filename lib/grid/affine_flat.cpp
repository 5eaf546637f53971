// Q4_1 and Q5_1 of ggml: 32 weights, d * q + m with m of any sign. Block: f16 d, f16 m, for q5_1
// u32 fifth bits, u8 qs[16] (nibble halves). Parameters: d and m.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "grid/fast_search.h"
#include "grid/flat_grid.h"
#include "grid/half.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int kColumns = 32;
constexpr int kParameterBytes = 4;

class AffineFlat final : public Grid {
 public:
  AffineFlat(const char* name, int bits, uint32_t ggml_type)
      : Grid({.name = name,
              .block_columns = kColumns,
              .group_columns = kColumns,
              .block_bytes = kParameterBytes + bits * kColumns / 8,
              .parameter_bytes = kParameterBytes,
              .levels = integer_levels(0, (1 << bits) - 1),
              .affine = true,
              .uniform = true,
              .free_scale = true,
              .ggml_type = ggml_type}),
        five_bits_(bits == 5) {}

  void fit(std::span<const float> x, std::span<const float> importance, bool search,
           std::byte* parameters) const override {
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    ScaleAndOffset found = plain_pair(*low, *high);
    thread_local std::vector<float> weights;
    if (search && search_weights(x, importance, weights))
      found = search_stored_pair(x, weights, table(), found);
    set_group(0, found.scale, found.offset, parameters);
  }

  void fit_fast(std::span<const BlockToFit> blocks) const override {
    GroupPack& pack = thread_pack();
    for (; !blocks.empty(); blocks = blocks.subspan(std::min<size_t>(kGroupLanes, blocks.size()))) {
      const auto now = blocks.first(std::min<size_t>(kGroupLanes, blocks.size()));
      pack.load(spec(), now);
      Candidates plain;
      for (int lane = 0; lane < kGroupLanes; ++lane) {
        const ScaleAndOffset pair =
            plain_pair(pack.stored(lane, pack.low()[lane]), pack.stored(lane, pack.high()[lane]));
        plain.scale[lane] = pair.scale;
        plain.offset[lane] = pair.offset;
      }
      const Candidates found = fast_stored_pairs(pack, table(), plain);
      for (size_t i = 0; i < now.size(); ++i) {
        // (What fp16 cannot hold would be moved to one side of zero, to clip less there.)
        const bool clips = std::max(plain.scale[i], std::fabs(plain.offset[i])) >= kLargestHalf;
        const Candidates& taken = pack.searchable(static_cast<int>(i)) && !clips ? found : plain;
        set_group(0, taken.scale[i], taken.offset[i], now[i].parameters);
      }
    }
  }

  void expand(const std::byte* parameters, float* scale, float* offset) const override {
    *scale = load_half(parameters);
    *offset = load_half(parameters + 2);
  }
  void snap(const float* scale, const float* offset, std::byte* parameters) const override {
    set_group(0, *scale, offset == nullptr ? 0.0f : *offset, parameters);
  }
  void set_group(int64_t /*group*/, float scale, float offset,
                 std::byte* parameters) const override {
    store_half(scale, parameters);
    store_half(offset, parameters + 2);
  }
  void multiply(float scale_factor, float offset_factor, std::byte* parameters) const override {
    store_half(load_half(parameters) * scale_factor, parameters);
    store_half(load_half(parameters + 2) * offset_factor, parameters + 2);
  }

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, kParameterBytes);
    if (five_bits_) {
      pack_five_bits(codes, block + kParameterBytes);
    } else {
      pack_nibble_halves(codes, kColumns, block + kParameterBytes);
    }
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, kParameterBytes);
    if (five_bits_) {
      unpack_five_bits(block + kParameterBytes, codes);
    } else {
      unpack_nibble_halves(block + kParameterBytes, kColumns, codes);
    }
  }

 private:
  ScaleAndOffset plain_pair(float low, float high) const {
    const float top = spec().levels.back();
    // (Two quotients where the difference overflows.)
    const float range = high - low;
    const float scale = range <= kLargestHalf * top ? range / top : high / top - low / top;
    return {round_to_half(scale), round_to_half(low), 0, 0};
  }

  bool five_bits_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q4_1(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("q4_1", request));
  return std::make_shared<AffineFlat>("q4_1", 4, 3);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_q5_1(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("q5_1", request));
  return std::make_shared<AffineFlat>("q5_1", 5, 7);
}

}  // namespace frugal::grid
