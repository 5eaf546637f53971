// FP4 E2M1 (float4.h) under scales of one byte, as ggml stores it.
//
//   mxfp4   groups of 32, scales are powers of two (E8M0). Block: u8 scale, u8 qs[16] (nibble
//           halves).
//   nvfp4   groups of 16, scales are FP8 E4M3 without sign, four groups to a block. Block: u8
//           scales[4], u8 qs[32] (nibble halves of each group). All scales of a matrix are meant
//           times its tensor scale, a power of two that the grid's name says: `nvfp4:e-7`.
//
// Parameters: the bytes of the scales. Of the two zeros +0 is written.
#include "grid/float4.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "grid/fast_search.h"
#include "grid/flat_grid.h"
#include "grid/float8.h"
#include "grid/registry.h"
#include "grid/scale_candidates.h"

namespace frugal::grid {
namespace {

std::vector<float> float4_levels() {
  std::vector<float> levels;
  for (size_t size = kFloat4Zero; size > 0; --size) levels.push_back(-kFloat4Levels[size]);
  levels.insert(levels.end(), kFloat4Levels.begin(), kFloat4Levels.end());
  return levels;
}

// What tells the types apart.
struct Layout {
  const char* name;
  uint32_t ggml_type;
  int columns, groups;
  int last_scale;     // the largest byte that a file may hold
  int largest_scale;  // the largest byte that is written: times 12 it is finite
  // The search looks at bytes from `below` under to `above` over that of the plain rule.
  int below, above;
  int fast_below, fast_above;
  float (*scale)(int byte);
  int (*plain)(float largest);  // of a group whose weights reach up to `largest` > 0

  int group_columns() const { return columns / groups; }
};

// Byte 0 would be 2^-128, of which products in fp32 keep nothing: it is the scale of zeros.
float power_scale(int byte) { return byte == 0 ? 0.0f : std::ldexp(1.0f, byte - 128); }
// The exponent of the largest weight less that of the largest level (4 <= 6 < 8): weights from 6 to
// 8 are clipped.
int plain_power(float largest) { return std::ilogb(largest) - 2 + 127; }

float float8_scale(int byte) { return float8_magnitude_value(byte) / 2; }
int plain_float8(float largest) { return float8_magnitude(round_to_float8(largest / 6)); }

constexpr Layout kMxFp4 = {"mxfp4", 39, 32, 1, 254, 252, 7, 8, 1, 1, power_scale, plain_power};
constexpr Layout kNvFp4 = {"nvfp4", 40, 64, 4, 126, 126, 7, 8, 3, 6, float8_scale, plain_float8};

class Float4 final : public Grid {
 public:
  Float4(const Layout& layout, std::string name, float tensor_scale)
      : Grid({.name = std::move(name),
              .block_columns = layout.columns,
              .group_columns = layout.group_columns(),
              .block_bytes = layout.groups + layout.columns / 2,
              .parameter_bytes = layout.groups,
              .levels = float4_levels(),
              .ggml_type = layout.ggml_type,
              .tensor_scale = tensor_scale}),
        layout_(layout) {
    for (int byte = 0; byte <= layout.last_scale; ++byte)
      scales_.push_back(tensor_scale * layout.scale(byte));
  }

  void fit(std::span<const float> x, std::span<const float> importance, bool search,
           std::byte* parameters) const override {
    thread_local std::vector<float> weights;
    const bool searched = search && search_weights(x, importance, weights);
    const auto columns = static_cast<size_t>(layout_.group_columns());
    for (int g = 0; g < layout_.groups; ++g) {
      const size_t start = static_cast<size_t>(g) * columns;
      const std::span<const float> group = x.subspan(start, columns);
      int byte = plain_byte(signed_maximum(group));
      if (searched) byte = search_byte(group, std::span(weights).subspan(start, columns), byte);
      parameters[g] = static_cast<std::byte>(byte);
    }
  }

  void fit_fast(std::span<const BlockToFit> blocks) const override {
    GroupPack& pack = thread_pack();
    const auto at_once = static_cast<size_t>(kGroupLanes / layout_.groups);
    for (; !blocks.empty(); blocks = blocks.subspan(std::min(at_once, blocks.size()))) {
      const auto now = blocks.first(std::min(at_once, blocks.size()));
      pack.load(spec(), now);
      const std::array<int, kGroupLanes> bytes = search_bytes(pack);
      for (size_t b = 0; b < now.size(); ++b) {
        for (int g = 0; g < layout_.groups; ++g) {
          const size_t lane = b * static_cast<size_t>(layout_.groups) + static_cast<size_t>(g);
          now[b].parameters[g] = static_cast<std::byte>(bytes[lane]);
        }
      }
    }
  }

  void expand(const std::byte* parameters, float* scale, float* offset) const override {
    for (int g = 0; g < layout_.groups; ++g) scale[g] = scales_[static_cast<size_t>(parameters[g])];
    std::fill_n(offset, layout_.groups, 0.0f);
  }

  void snap(const float* scale, const float* /*offset*/, std::byte* parameters) const override {
    for (int g = 0; g < layout_.groups; ++g) set_group(g, scale[g], 0, parameters);
  }

  void set_group(int64_t group, float scale, float /*offset*/,
                 std::byte* parameters) const override {
    parameters[group] = static_cast<std::byte>(nearest_byte(scale));
  }

  void multiply(float scale_factor, float /*offset_factor*/, std::byte* parameters) const override {
    for (int g = 0; g < layout_.groups; ++g)
      set_group(g, scales_[static_cast<size_t>(parameters[g])] * scale_factor, 0, parameters);
  }

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, static_cast<size_t>(layout_.groups));
    const int columns = layout_.group_columns();
    std::array<uint8_t, 64> nibbles;
    std::transform(codes, codes + layout_.columns, nibbles.begin(), float4_bits);
    for (int g = 0; g < layout_.groups; ++g)
      pack_nibble_halves(&nibbles[g * columns], columns, block + layout_.groups + g * columns / 2);
  }

  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, static_cast<size_t>(layout_.groups));
    const int columns = layout_.group_columns();
    for (int g = 0; g < layout_.groups; ++g)
      unpack_nibble_halves(block + layout_.groups + g * columns / 2, columns, codes + g * columns);
    std::transform(codes, codes + layout_.columns, codes, float4_code);
  }

  // The bytes beyond stand for no number (E8M0's and E4M3's NaN) or have a sign.
  bool valid(const std::byte* parameters) const override {
    return std::all_of(parameters, parameters + layout_.groups, [&](std::byte scale) {
      return static_cast<int>(scale) <= layout_.last_scale;
    });
  }

 private:
  int plain_byte(float largest) const {
    const float size = std::fabs(largest);
    if (!(size > kNegligible)) return 0;
    return std::clamp(layout_.plain(size / spec().tensor_scale), 0, layout_.largest_scale);
  }

  // The byte whose scale is nearest; of two the smaller.
  int nearest_byte(float scale) const {
    const auto end = scales_.begin() + layout_.largest_scale + 1;
    const auto above = std::lower_bound(scales_.begin(), end, scale);
    if (above == scales_.begin()) return 0;
    const auto below = above - 1;
    const bool up = above != end && *above - scale < scale - *below;
    return static_cast<int>((up ? above : below) - scales_.begin());
  }

  int inside(int byte) const { return std::clamp(byte, 0, layout_.largest_scale); }

  // Every stored scale in the window side by side: the best of them, and of equals the plain one.
  int search_byte(std::span<const float> x, std::span<const float> weights, int plain) const {
    Candidates candidates;
    std::array<int, kCandidates> bytes;
    for (int lane = 0; lane < kCandidates; ++lane) {
      bytes[lane] = inside(plain - layout_.below + lane);
      candidates.scale[lane] = scales_[static_cast<size_t>(bytes[lane])];
    }
    CandidateSums sums;
    candidate_sums(x, weights, candidates, table(), sums);
    int best = layout_.below;
    for (int lane = 0; lane < kCandidates; ++lane) {
      if (sums.rr[lane] < sums.rr[best]) best = lane;
    }
    return bytes[best];
  }

  std::array<int, kGroupLanes> search_bytes(const GroupPack& pack) const {
    std::array<int, kGroupLanes> plain, best;
    for (int lane = 0; lane < kGroupLanes; ++lane)
      plain[lane] = plain_byte(pack.stored(lane, pack.largest()[lane]));
    best = plain;
    GroupValues least = errors(pack, plain);
    for (int step = -layout_.fast_below; step <= layout_.fast_above; ++step) {
      if (step == 0) continue;
      std::array<int, kGroupLanes> tried;
      for (int lane = 0; lane < kGroupLanes; ++lane) tried[lane] = inside(plain[lane] + step);
      const GroupValues error = errors(pack, tried);
      for (int lane = 0; lane < kGroupLanes; ++lane) {
        if (!pack.searchable(lane) || !(error[lane] < least[lane])) continue;
        least[lane] = error[lane];
        best[lane] = tried[lane];
      }
    }
    return best;
  }

  GroupValues errors(const GroupPack& pack, const std::array<int, kGroupLanes>& bytes) const {
    Candidates candidates;
    for (int lane = 0; lane < kGroupLanes; ++lane)
      candidates.scale[lane] = pack.normalized(lane, scales_[static_cast<size_t>(bytes[lane])]);
    CandidateSums sums;
    pack.sums(candidates, table(), sums);
    GroupValues result;
    std::copy_n(sums.rr, kGroupLanes, result.begin());
    return result;
  }

  const Layout& layout_;
  std::vector<float> scales_;  // of each byte, tensor scale included
};

// Weights of a matrix reach up to 2688 times its tensor scale, and keep three bits of their scale
// down to 0.094 times it: 21 and 7e-4 here, where the matrices of language models lie.
constexpr int kTensorExponent = -7;
constexpr int kSmallestExponent = -64, kLargestExponent = 64;

std::string name_of(int exponent) {
  if (exponent == kTensorExponent) return kNvFp4.name;
  return base::str_cat(kNvFp4.name, ":e", exponent);
}

// ":e<k>": the tensor scale is 2^k.
absl::StatusOr<int> tensor_exponent(const GridRequest& request) {
  if (request.suffix.empty()) return kTensorExponent;
  int exponent = 0;
  const std::string_view given = request.suffix;
  const bool named = given.starts_with(":e");
  const char* const first = given.data() + (named ? 2 : 0);
  const auto [end, error] = std::from_chars(first, given.data() + given.size(), exponent);
  if (named && error == std::errc() && end == given.data() + given.size() &&
      exponent >= kSmallestExponent && exponent <= kLargestExponent)
    return exponent;
  return base::invalid_argument("grid 'nvfp4' takes ':e<k>' for a tensor scale of 2^k, k from ",
                                kSmallestExponent, " to ", kLargestExponent, ", found '",
                                request.suffix, "'; write 'nvfp4' or 'nvfp4:e-3'");
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_mxfp4(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix(kMxFp4.name, request));
  return std::make_shared<Float4>(kMxFp4, kMxFp4.name, 1.0f);
}

absl::StatusOr<std::shared_ptr<const Grid>> make_nvfp4(const GridRequest& request) {
  FRUGAL_ASSIGN_OR_RETURN(const int exponent, tensor_exponent(request));
  return std::make_shared<Float4>(kNvFp4, name_of(exponent), std::ldexp(1.0f, exponent));
}

std::string nvfp4_name(float tensor_scale) {
  int exponent = 0;
  const bool power = std::frexp(tensor_scale, &exponent) == 0.5f;
  --exponent;
  const bool inside = exponent >= kSmallestExponent && exponent <= kLargestExponent;
  return power && inside ? name_of(exponent) : "";
}

absl::Status check_range(const GridSpec& spec, const float* weights, int64_t count) {
  if (spec.ggml_type != kNvFp4.ggml_type) return absl::OkStatus();
  constexpr float kReach = kLargestFloat8 * 6;  // of a tensor scale of 1
  const float largest = std::fabs(signed_maximum(std::span(weights, static_cast<size_t>(count))));
  if (largest <= kReach * spec.tensor_scale) return absl::OkStatus();
  const int wanted = static_cast<int>(std::ceil(std::log2(largest / kReach)));
  return base::invalid_argument("cannot quantize: the largest weight is ", largest, ", and grid '",
                                spec.name, "' reaches to ", kReach * spec.tensor_scale, "; take '",
                                name_of(std::min(wanted, kLargestExponent)), "'");
}

}  // namespace frugal::grid
