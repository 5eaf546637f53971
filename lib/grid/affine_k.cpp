// ggml's K types with offsets: d * s_j * q - dmin * m_j, 256 weights in groups j with integer
// sub-scales s_j and m_j.
//
//   q2_k  16 groups of 16, 4-bit s and m. Block: u8 sm[16] (s in the low nibble), qs[64], f16 d,
//         f16 dmin.
//   q4_k   8 groups of 32, 6-bit s and m. Block: f16 d, f16 dmin, sm[12], qs[128].
//   q5_k   as q4_k with qh[32] before qs: the fifth bits.
//
// Parameters: f16 d, f16 dmin, then sm as stored.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "grid/fast_search.h"
#include "grid/flat_grid.h"
#include "grid/half.h"
#include "grid/k_block.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int kSuperBytes = 4;

using Header = AffineKValues;

// What tells the types apart.
struct Layout {
  const char* name;
  uint32_t ggml_type;
  int bits;
  int groups;
  int largest;    // of the sub-scales
  int sub_bytes;  // of all sub-scales
  int block_bytes;
  void (*read)(const std::byte* packed, Header& header);
  void (*write)(const Header& header, std::byte* packed);
  void (*pack)(const std::byte* parameters, const uint8_t* codes, std::byte* block);
  void (*unpack)(const std::byte* block, std::byte* parameters, uint8_t* codes);
};

void read_nibbles(const std::byte* packed, Header& header) {
  for (int j = 0; j < 16; ++j) {
    header.s[j] = static_cast<float>(static_cast<int>(packed[j]) & 15);
    header.m[j] = static_cast<float>(static_cast<int>(packed[j]) >> 4);
  }
}

void write_nibbles(const Header& header, std::byte* packed) {
  for (int j = 0; j < 16; ++j) {
    packed[j] =
        static_cast<std::byte>(static_cast<int>(header.s[j]) | static_cast<int>(header.m[j]) << 4);
  }
}

// Six bits each: those of groups 4 to 7 lie in the free bits of the first four and in bytes 8 on.
void read_six_bits(const std::byte* packed, Header& header) {
  const auto byte = [packed](int i) { return static_cast<int>(packed[i]); };
  for (int j = 0; j < 8; ++j) {
    const bool low = j < 4;
    header.s[j] =
        static_cast<float>(low ? byte(j) & 63 : (byte(j + 4) & 15) | (byte(j - 4) >> 6) << 4);
    header.m[j] =
        static_cast<float>(low ? byte(j + 4) & 63 : byte(j + 4) >> 4 | (byte(j) >> 6) << 4);
  }
}

void write_six_bits(const Header& header, std::byte* packed) {
  std::array<int, 12> bytes{};
  for (int j = 0; j < 8; ++j) {
    const int s = static_cast<int>(header.s[j]);
    const int m = static_cast<int>(header.m[j]);
    if (j < 4) {
      bytes[j] |= s;
      bytes[j + 4] |= m;
    } else {
      bytes[j + 4] |= (s & 15) | (m & 15) << 4;
      bytes[j - 4] |= (s >> 4) << 6;
      bytes[j] |= (m >> 4) << 6;
    }
  }
  for (int i = 0; i < 12; ++i) packed[i] = static_cast<std::byte>(bytes[i]);
}

void pack_q2_k(const std::byte* parameters, const uint8_t* codes, std::byte* block) {
  std::memcpy(block, parameters + kSuperBytes, 16);
  pack_bit_pairs(codes, 0, block + 16);
  std::memcpy(block + 80, parameters, kSuperBytes);
}
void unpack_q2_k(const std::byte* block, std::byte* parameters, uint8_t* codes) {
  std::memcpy(parameters + kSuperBytes, block, 16);
  std::fill_n(codes, kKColumns, uint8_t{0});
  unpack_bit_pairs(block + 16, 0, codes);
  std::memcpy(parameters, block + 80, kSuperBytes);
}

void pack_q4_k(const std::byte* parameters, const uint8_t* codes, std::byte* block) {
  std::memcpy(block, parameters, 16);
  pack_low_nibbles(codes, 32, block + 16);
}
void unpack_q4_k(const std::byte* block, std::byte* parameters, uint8_t* codes) {
  std::memcpy(parameters, block, 16);
  unpack_low_nibbles(block + 16, 32, codes);
}

void pack_q5_k(const std::byte* parameters, const uint8_t* codes, std::byte* block) {
  std::memcpy(block, parameters, 16);
  pack_bit_plane(codes, 4, block + 16);
  pack_low_nibbles(codes, 32, block + 48);
}
void unpack_q5_k(const std::byte* block, std::byte* parameters, uint8_t* codes) {
  std::memcpy(parameters, block, 16);
  unpack_low_nibbles(block + 48, 32, codes);
  unpack_bit_plane(block + 16, 4, codes);
}

constexpr Layout kQ2K = {"q2_k",        10,        2,          16, 15, 16, 84, read_nibbles,
                         write_nibbles, pack_q2_k, unpack_q2_k};
constexpr Layout kQ4K = {"q4_k",         12,        4,          8, 63, 12, 144, read_six_bits,
                         write_six_bits, pack_q4_k, unpack_q4_k};
constexpr Layout kQ5K = {"q5_k",         13,        5,          8, 63, 12, 176, read_six_bits,
                         write_six_bits, pack_q5_k, unpack_q5_k};

// The nearest sub-scales under the super-scales of `header`.
void choose_codes(const Layout& layout, const KValues& scale, const KValues& drop, Header& header) {
  for (int j = 0; j < layout.groups; ++j) {
    header.s[j] = sub_scale_code(scale[j], header.d, 0, layout.largest);
    header.m[j] = sub_scale_code(drop[j], header.dmin, 0, layout.largest);
  }
}

// Super-scales and sub-scales near wished scales and drops (offsets below 0), as the weights ask.
Header store_values(const Layout& layout, const KValues& scale, const KValues& drop,
                    const KValues& scale_weight, const KValues& drop_weight) {
  const auto super = [&layout](const KValues& values, const KValues& weights) {
    const size_t groups = layout.groups;
    return search_super_scale({values.data(), groups}, {weights.data(), groups}, 0, layout.largest);
  };
  Header header{.d = super(scale, scale_weight), .dmin = super(drop, drop_weight)};
  choose_codes(layout, scale, drop, header);
  return header;
}

// Normal equations of (d, dmin) given the codes of weights and sub-scales.
struct SuperSystem {
  double ss = 0, sm = 0, mm = 0, right_s = 0, right_m = 0;
  void add(float s, float m, const CandidateSums& sums, int lane, float weight) {
    ss += static_cast<double>(s) * s * sums.tt[lane];
    sm -= static_cast<double>(s) * m * sums.t[lane];
    mm += static_cast<double>(m) * m * weight;
    right_s += static_cast<double>(s) * sums.rt[lane];
    right_m -= static_cast<double>(m) * sums.r[lane];
  }
  void step(float& d, float& dmin) const {
    const double determinant = ss * mm - sm * sm;
    if (determinant > 1e-6 * ss * mm) {
      d = round_to_half(static_cast<float>(d + (mm * right_s - sm * right_m) / determinant));
      dmin = round_to_half(static_cast<float>(dmin + (ss * right_m - sm * right_s) / determinant));
    } else if (ss > 0) {
      d = round_to_half(static_cast<float>(d + right_s / ss));
    }
  }
};

// The weighted search for one block.
class Search {
 public:
  Search(const Layout& layout, const KBlock& block) : layout_(layout), block_(block) {
    for (int j = 0; j < layout.groups; ++j) {
      for (const float weight : block.group_weights(j)) weight_sum_[j] += weight;
    }
  }

  // Real-valued pairs per group, super-scales that store them best, then stored neighbors and a
  // least-squares refit of the super-scales in turn while that helps.
  Header run(const Header& plain) const {
    constexpr int kRounds = 3;
    Header best = plain;
    double best_error = block_.error(plain.scales(), plain.offsets());
    Header current = start();
    for (int round = 0; round < kRounds; ++round) {
      SuperSystem next;
      const double error = improve_codes(current, next);
      if (error < best_error) {
        best_error = error;
        best = current;
      } else if (round > 0) {
        break;
      }
      next.step(current.d, current.dmin);
      if (!(current.d > 0) || current.dmin < 0) break;
    }
    return best;
  }

 private:
  Header start() const {
    KValues scale, drop, scale_weight, drop_weight;
    for (int j = 0; j < layout_.groups; ++j) {
      const ScaleAndOffset found =
          search_scale_and_offset(block_.group_x(j), block_.group_weights(j), block_.table);
      scale[j] = found.scale;
      drop[j] = -found.offset;
      scale_weight[j] = found.scale_weight;
      drop_weight[j] = found.offset_weight;
    }
    return store_values(layout_, scale, drop, scale_weight, drop_weight);
  }

  // Tries the stored sub-scales around the present ones (s - 1 .. s + 2 by m - 1 .. m + 2), takes
  // the best of each group and returns the block's weighted error; `next` gets the equations for
  // the next (d, dmin).
  double improve_codes(Header& header, SuperSystem& next) const {
    const auto largest = static_cast<float>(layout_.largest);
    double total = 0;
    for (int j = 0; j < layout_.groups; ++j) {
      Candidates candidates;
      std::array<float, kCandidates> s, m;
      for (int lane = 0; lane < kCandidates; ++lane) {
        s[lane] = std::clamp(header.s[j] + static_cast<float>((lane + 1) % 4 - 1), 0.0f, largest);
        m[lane] =
            std::clamp(header.m[j] + static_cast<float>((lane / 4 + 1) % 4 - 1), 0.0f, largest);
        candidates.scale[lane] = header.d * s[lane];
        candidates.offset[lane] = -(header.dmin * m[lane]);
      }
      const CandidateSums sums = block_.sums(j, candidates);
      const int best = static_cast<int>(std::min_element(sums.rr, sums.rr + kCandidates) - sums.rr);
      header.s[j] = s[best];
      header.m[j] = m[best];
      total += sums.rr[best];
      next.add(s[best], m[best], sums, best, weight_sum_[j]);
    }
    return total;
  }

  const Layout& layout_;
  const KBlock& block_;
  KValues weight_sum_{};
};

class AffineK final : public Grid {
 public:
  explicit AffineK(const Layout& layout)
      : Grid({.name = layout.name,
              .block_columns = kKColumns,
              .group_columns = kKColumns / layout.groups,
              .block_bytes = layout.block_bytes,
              .parameter_bytes = kSuperBytes + layout.sub_bytes,
              .levels = integer_levels(0, (1 << layout.bits) - 1),
              .affine = true,
              .uniform = true,
              .free_scale = false,
              .ggml_type = layout.ggml_type}),
        layout_(layout) {}

  void fit(std::span<const float> x, std::span<const float> importance, bool search,
           std::byte* parameters) const override {
    Header header = plain_header(x);
    thread_local std::vector<float> weights;
    if (search && search_weights(x, importance, weights)) {
      const KBlock block{.x = x, .weights = weights, .table = table(), .groups = layout_.groups};
      header = Search(layout_, block).run(header);
    }
    write(header, parameters);
  }

  void fit_fast(std::span<const BlockToFit> blocks) const override {
    const auto at_once = static_cast<size_t>(kGroupLanes / layout_.groups);
    GroupPack& pack = thread_pack();
    while (!blocks.empty()) {
      const auto now = blocks.first(std::min(at_once, blocks.size()));
      blocks = blocks.subspan(now.size());
      pack.load(spec(), now);
      std::array<Header, kGroupLanes> headers;
      for (size_t b = 0; b < now.size(); ++b) {
        const auto first = static_cast<int>(b) * layout_.groups;
        headers[b] = plain_header(pack.stored_values(pack.low(), first),
                                  pack.stored_values(pack.high(), first));
      }
      fast_affine_k(pack, table(), {layout_.groups, 0, layout_.largest},
                    {headers.data(), now.size()});
      for (size_t b = 0; b < now.size(); ++b) write(headers[b], now[b].parameters);
    }
  }

  void expand(const std::byte* parameters, float* scale, float* offset) const override {
    const Header header = read(parameters);
    std::copy_n(header.scales().begin(), layout_.groups, scale);
    std::copy_n(header.offsets().begin(), layout_.groups, offset);
  }

  void snap(const float* scale, const float* offset, std::byte* parameters) const override {
    KValues scales{}, drop{}, ones;
    ones.fill(1);
    for (int j = 0; j < layout_.groups; ++j) {
      scales[j] = std::max(0.0f, scale[j]);
      drop[j] = offset == nullptr ? 0.0f : std::max(0.0f, -offset[j]);
    }
    write(store_values(layout_, scales, drop, ones, ones), parameters);
  }

  void set_group(int64_t group, float scale, float offset, std::byte* parameters) const override {
    Header header = read(parameters);
    header.s[group] = sub_scale_code(scale, header.d, 0, layout_.largest);
    header.m[group] = sub_scale_code(-offset, header.dmin, 0, layout_.largest);
    write(header, parameters);
  }

  void multiply(float scale_factor, float offset_factor, std::byte* parameters) const override {
    store_half(load_half(parameters) * scale_factor, parameters);
    store_half(load_half(parameters + 2) * offset_factor, parameters + 2);
  }

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    layout_.pack(parameters, codes, block);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    layout_.unpack(block, parameters, codes);
  }

 private:
  Header read(const std::byte* parameters) const {
    Header header{.d = load_half(parameters), .dmin = load_half(parameters + 2)};
    layout_.read(parameters + kSuperBytes, header);
    return header;
  }
  void write(const Header& header, std::byte* parameters) const {
    store_half(header.d, parameters);
    store_half(header.dmin, parameters + 2);
    layout_.write(header, parameters + kSuperBytes);
  }

  // From minimum (or 0) and maximum of each group; the largest sub-scales at their largest code.
  Header plain_header(const KValues& lows, const KValues& highs) const {
    KValues scale{}, drop{};
    for (int j = 0; j < layout_.groups; ++j) {
      const float low = std::min(0.0f, lows[j]);
      const float high = std::max(low, highs[j]);
      scale[j] = high / spec().levels.back() - low / spec().levels.back();
      drop[j] = -low;
    }
    const auto largest = static_cast<float>(layout_.largest);
    Header header;
    header.d = round_to_half(*std::max_element(scale.begin(), scale.end()) / largest);
    header.dmin = round_to_half(*std::max_element(drop.begin(), drop.end()) / largest);
    choose_codes(layout_, scale, drop, header);
    return header;
  }
  Header plain_header(std::span<const float> x) const {
    KValues lows{}, highs{};
    for (int j = 0; j < layout_.groups; ++j) {
      const auto group = x.subspan(j * spec().group_columns, spec().group_columns);
      const auto [low, high] = std::minmax_element(group.begin(), group.end());
      lows[j] = *low;
      highs[j] = *high;
    }
    return plain_header(lows, highs);
  }

  const Layout& layout_;
};

absl::StatusOr<std::shared_ptr<const Grid>> make(const Layout& layout, const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix(layout.name, request));
  return std::make_shared<AffineK>(layout);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q2_k(const GridRequest& request) {
  return make(kQ2K, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_q4_k(const GridRequest& request) {
  return make(kQ4K, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_q5_k(const GridRequest& request) {
  return make(kQ5K, request);
}

}  // namespace frugal::grid
