// ggml's types of 256 weights without offsets: d * s_j * level, in groups j with signed integer
// sub-scales s_j.
//
//   q3_k    16 groups, levels -4..3, s in -32..31. Block: u8 hmask[32] (third bits), qs[64], s[12],
//   f16 d. q6_k    16 groups, levels -32..31, s in -128..127. Block: u8 ql[128], qh[64], i8 s[16],
//   f16 d. iq4_xs  8 groups, the levels of iq4_nl, s in -32..31. Block: f16 d, u16 high bits and
//   u8[4] low nibbles
//           of s, u8 qs[128] (nibble halves of each group).
//
// Parameters: f16 d, then s as stored.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "grid/fast_search.h"
#include "grid/flat_grid.h"
#include "grid/half.h"
#include "grid/k_block.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int kSuperBytes = 2;

using Header = SignedKValues;

// What tells the types apart.
struct Layout {
  const char* name;
  uint32_t ggml_type;
  int groups;
  int bits;    // of equal levels around 0; 0: those of iq4_nl
  int lowest;  // of the sub-scales; the highest is -lowest - 1
  int sub_bytes;
  int block_bytes;
  bool codes_last;  // behind d and the sub-scales; else before the sub-scales, and d last
  void (*read)(const std::byte* packed, KValues& s);
  void (*write)(const KValues& s, std::byte* packed);
  void (*pack)(const uint8_t* codes, std::byte* block);
  void (*unpack)(const std::byte* block, uint8_t* codes);

  int highest() const { return -lowest - 1; }
  int code_bytes() const { return block_bytes - kSuperBytes - sub_bytes; }
  int super_at() const { return codes_last ? 0 : block_bytes - kSuperBytes; }
  int sub_at() const { return codes_last ? kSuperBytes : code_bytes(); }
  int codes_at() const { return codes_last ? kSuperBytes + sub_bytes : 0; }
  std::vector<float> levels() const {
    if (bits == 0) return iq4_levels();
    return integer_levels(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
  }
};

constexpr int kSixBitGroups = 16;

// s + 32 in six bits: the low four as nibbles of bytes 0 to 7, the high two in bytes 8 to 11.
void read_six_bits(const std::byte* packed, KValues& s) {
  const auto byte = [packed](int i) { return static_cast<int>(packed[i]); };
  for (int j = 0; j < kSixBitGroups; ++j) {
    const int low = j < 8 ? byte(j) & 15 : byte(j - 8) >> 4;
    const int high = byte(8 + j % 4) >> (2 * (j / 4)) & 3;
    s[j] = static_cast<float>((low | high << 4) - 32);
  }
}

void write_six_bits(const KValues& s, std::byte* packed) {
  std::array<int, 12> bytes{};
  for (int j = 0; j < kSixBitGroups; ++j) {
    const int code = static_cast<int>(s[j]) + 32;
    bytes[j % 8] |= (code & 15) << (j < 8 ? 0 : 4);
    bytes[8 + j % 4] |= (code >> 4) << (2 * (j / 4));
  }
  for (int i = 0; i < 12; ++i) packed[i] = static_cast<std::byte>(bytes[i]);
}

void read_bytes(const std::byte* packed, KValues& s) {
  for (int j = 0; j < kSixBitGroups; ++j) s[j] = static_cast<float>(static_cast<int8_t>(packed[j]));
}

void write_bytes(const KValues& s, std::byte* packed) {
  for (int j = 0; j < kSixBitGroups; ++j)
    packed[j] = static_cast<std::byte>(static_cast<int8_t>(s[j]));
}

// s + 32 of eight groups: the high two bits in 16 (little-endian), the low four in nibbles behind
// them.
void read_eight(const std::byte* packed, KValues& s) {
  const int high = static_cast<int>(packed[0]) | static_cast<int>(packed[1]) << 8;
  for (int j = 0; j < 8; ++j) {
    const int low = static_cast<int>(packed[2 + j / 2]) >> (4 * (j % 2)) & 15;
    s[j] = static_cast<float>((low | (high >> (2 * j) & 3) << 4) - 32);
  }
}

void write_eight(const KValues& s, std::byte* packed) {
  int high = 0;
  std::array<int, 4> low{};
  for (int j = 0; j < 8; ++j) {
    const int code = static_cast<int>(s[j]) + 32;
    high |= (code >> 4) << (2 * j);
    low[j / 2] |= (code & 15) << (4 * (j % 2));
  }
  packed[0] = static_cast<std::byte>(high & 255);
  packed[1] = static_cast<std::byte>(high >> 8);
  for (int i = 0; i < 4; ++i) packed[2 + i] = static_cast<std::byte>(low[i]);
}

void pack_q3_k(const uint8_t* codes, std::byte* block) {
  pack_bit_plane(codes, 2, block);
  pack_bit_pairs(codes, 0, block + 32);
}
void unpack_q3_k(const std::byte* block, uint8_t* codes) {
  std::fill_n(codes, kKColumns, uint8_t{0});
  unpack_bit_plane(block, 2, codes);
  unpack_bit_pairs(block + 32, 0, codes);
}

void pack_q6_k(const uint8_t* codes, std::byte* block) {
  pack_low_nibbles(codes, 64, block);
  pack_bit_pairs(codes, 4, block + 128);
}
void unpack_q6_k(const std::byte* block, uint8_t* codes) {
  unpack_low_nibbles(block, 64, codes);
  unpack_bit_pairs(block + 128, 4, codes);
}

constexpr int kHalfGroup = 16;
void pack_iq4_xs(const uint8_t* codes, std::byte* block) {
  pack_low_nibbles(codes, kHalfGroup, block);
}
void unpack_iq4_xs(const std::byte* block, uint8_t* codes) {
  unpack_low_nibbles(block, kHalfGroup, codes);
}

constexpr Layout kQ3K = {
    "q3_k", 11, 16, 3, -32, 12, 110, false, read_six_bits, write_six_bits, pack_q3_k, unpack_q3_k};
constexpr Layout kQ6K = {"q6_k", 14,    16,         6,           -128,      16,
                         210,    false, read_bytes, write_bytes, pack_q6_k, unpack_q6_k};
constexpr Layout kIq4Xs = {"iq4_xs", 23,   8,          0,           -32,         6,
                           136,      true, read_eight, write_eight, pack_iq4_xs, unpack_iq4_xs};

std::span<const float> used(const Layout& layout, const KValues& values) {
  return std::span(values).first(static_cast<size_t>(layout.groups));
}

void choose_codes(const Layout& layout, const KValues& scale, Header& header) {
  for (int j = 0; j < layout.groups; ++j)
    header.s[j] = sub_scale_code(scale[j], header.d, layout.lowest, layout.highest());
}

Header store_values(const Layout& layout, const KValues& scale, const KValues& weight) {
  Header header{.d = search_super_scale(used(layout, scale), used(layout, weight), layout.lowest,
                                        layout.highest())};
  choose_codes(layout, scale, header);
  return header;
}

// The weighted search for one block.
class Search {
 public:
  Search(const Layout& layout, const KBlock& block) : layout_(layout), block_(block) {
    for (int j = 0; j < layout.groups; ++j) {
      const SignedScale found =
          search_signed_scale(block.group_x(j), block.group_weights(j), block.table);
      wished_[j] = found.scale;
      opposite_[j] = found.opposite;
      weight_[j] = found.scale_weight;
    }
  }

  // A super-scale that stores the real-valued scales best, then stored neighbors and a
  // least-squares refit of the super-scale in turn while that helps.
  Header run(const Header& plain) const {
    constexpr int kRounds = 3;
    Header best = plain;
    double best_error = block_.error(plain.scales(), {});
    Header current = store_values(layout_, wished_, weight_);
    for (int round = 0; round < kRounds; ++round) {
      double numerator = 0;
      double denominator = 0;
      const double error = improve_codes(current, numerator, denominator);
      if (error < best_error) {
        best_error = error;
        best = current;
      } else if (round > 0) {
        break;
      }
      if (!(denominator > 0)) break;
      current.d = round_to_half(static_cast<float>(current.d + numerator / denominator));
    }
    return best;
  }

 private:
  // Tries the stored sub-scales around the present ones (-3 .. +4) and around the best of the other
  // sign, takes the best of each group and returns the block's weighted error; the quotient is the
  // least-squares change of d.
  double improve_codes(Header& header, double& numerator, double& denominator) const {
    double total = 0;
    for (int j = 0; j < layout_.groups; ++j) {
      const bool same_sign = std::signbit(wished_[j]) == std::signbit(header.d * header.s[j]);
      const float other = sub_scale_code(same_sign ? opposite_[j] : wished_[j], header.d,
                                         layout_.lowest, layout_.highest());
      Candidates candidates;
      KValues s;
      for (int lane = 0; lane < kCandidates; ++lane) {
        const float center = lane < 8 ? header.s[j] : other;
        s[lane] =
            std::clamp(center + static_cast<float>((lane + 3) % 8 - 3),
                       static_cast<float>(layout_.lowest), static_cast<float>(layout_.highest()));
        candidates.scale[lane] = header.d * s[lane];
      }
      const CandidateSums sums = block_.sums(j, candidates);
      const int best = static_cast<int>(std::min_element(sums.rr, sums.rr + kCandidates) - sums.rr);
      header.s[j] = s[best];
      total += sums.rr[best];
      numerator += static_cast<double>(s[best]) * sums.rt[best];
      denominator += static_cast<double>(s[best]) * s[best] * sums.tt[best];
    }
    return total;
  }

  const Layout& layout_;
  const KBlock& block_;
  KValues wished_{}, opposite_{}, weight_{};
};

class SignedK final : public Grid {
 public:
  explicit SignedK(const Layout& layout)
      : Grid({.name = layout.name,
              .block_columns = kKColumns,
              .group_columns = kKColumns / layout.groups,
              .block_bytes = layout.block_bytes,
              .parameter_bytes = kSuperBytes + layout.sub_bytes,
              .levels = layout.levels(),
              .affine = false,
              .uniform = layout.bits > 0,
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
    GroupPack& pack = thread_pack();
    for (const BlockToFit& block : blocks) {
      pack.load(spec(), {&block, 1});  // eight groups stand there twice
      Header header = plain_header(pack.stored_values(pack.largest(), 0));
      if (pack.searchable(0)) {
        for (int lane = layout_.groups; lane < kGroupLanes; ++lane)
          header.s[lane] = header.s[lane % layout_.groups];
        fast_signed_k(pack, table(), {layout_.groups, layout_.lowest, layout_.highest()}, header);
      }
      write(header, block.parameters);
    }
  }

  void expand(const std::byte* parameters, float* scale, float* offset) const override {
    const KValues scales = read(parameters).scales();
    std::copy_n(scales.begin(), layout_.groups, scale);
    std::fill_n(offset, layout_.groups, 0.0f);
  }

  void snap(const float* scale, const float* /*offset*/, std::byte* parameters) const override {
    KValues wished{}, ones;
    std::copy_n(scale, layout_.groups, wished.begin());
    ones.fill(1);
    write(store_values(layout_, wished, ones), parameters);
  }

  void set_group(int64_t group, float scale, float /*offset*/,
                 std::byte* parameters) const override {
    Header header = read(parameters);
    header.s[group] = sub_scale_code(scale, header.d, layout_.lowest, layout_.highest());
    write(header, parameters);
  }

  void multiply(float scale_factor, float /*offset_factor*/, std::byte* parameters) const override {
    store_half(load_half(parameters) * scale_factor, parameters);
  }

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    layout_.pack(codes, block + layout_.codes_at());
    std::memcpy(block + layout_.sub_at(), parameters + kSuperBytes, layout_.sub_bytes);
    std::memcpy(block + layout_.super_at(), parameters, kSuperBytes);
  }
  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    layout_.unpack(block + layout_.codes_at(), codes);
    std::memcpy(parameters + kSuperBytes, block + layout_.sub_at(), layout_.sub_bytes);
    std::memcpy(parameters, block + layout_.super_at(), kSuperBytes);
  }

 private:
  Header read(const std::byte* parameters) const {
    Header header{.d = load_half(parameters)};
    layout_.read(parameters + kSuperBytes, header.s);
    return header;
  }
  void write(const Header& header, std::byte* parameters) const {
    store_half(header.d, parameters);
    layout_.write(header.s, parameters + kSuperBytes);
  }

  // The largest weight of each group on the lowest level, the largest scale on the lowest code.
  Header plain_header(const KValues& largest) const {
    KValues scale{};
    for (int j = 0; j < layout_.groups; ++j) scale[j] = largest[j] / spec().levels.front();
    Header header{.d = round_to_half(signed_maximum(scale) / static_cast<float>(layout_.lowest))};
    choose_codes(layout_, scale, header);
    return header;
  }
  Header plain_header(std::span<const float> x) const {
    const auto columns = static_cast<size_t>(spec().group_columns);
    KValues largest{};
    for (int j = 0; j < layout_.groups; ++j)
      largest[j] = signed_maximum(x.subspan(static_cast<size_t>(j) * columns, columns));
    return plain_header(largest);
  }

  const Layout& layout_;
};

absl::StatusOr<std::shared_ptr<const Grid>> make(const Layout& layout, const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix(layout.name, request));
  return std::make_shared<SignedK>(layout);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q3_k(const GridRequest& request) {
  return make(kQ3K, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_q6_k(const GridRequest& request) {
  return make(kQ6K, request);
}
absl::StatusOr<std::shared_ptr<const Grid>> make_iq4_xs(const GridRequest& request) {
  return make(kIq4Xs, request);
}

}  // namespace frugal::grid
