// Q4_K of ggml: 256 weights in 8 groups of 32, d * s_j * q - dmin * m_j with 6-bit s_j, m_j.
// Block: f16 d, f16 dmin, scales[12], qs[128]; parameters are its first 16 bytes. qs: 32 bytes for
// each two groups, the even group in the low nibbles.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "grid/flat_grid.h"
#include "grid/half.h"
#include "grid/registry.h"
#include "grid/scale_search.h"

namespace frugal::grid {
namespace {

constexpr int kGroups = 8;
constexpr int kGroupColumns = 32;
constexpr int kLargest = 63;
constexpr int kHeaderBytes = 16;

// The header in numbers. d and dmin are values of fp16; 0 <= s, m <= 63.
struct Header {
  float d = 0;
  float dmin = 0;
  std::array<float, kGroups> s{};
  std::array<float, kGroups> m{};
};

Header read_header(const std::byte* bytes) {
  Header header{.d = load_half(bytes), .dmin = load_half(bytes + 2)};
  const auto packed = [bytes](int i) { return static_cast<int>(bytes[4 + i]); };
  for (int j = 0; j < kGroups; ++j) {
    const bool low = j < 4;
    header.s[j] =
        static_cast<float>(low ? packed(j) & 63 : (packed(j + 4) & 15) | (packed(j - 4) >> 6) << 4);
    header.m[j] =
        static_cast<float>(low ? packed(j + 4) & 63 : packed(j + 4) >> 4 | (packed(j) >> 6) << 4);
  }
  return header;
}

void write_header(const Header& header, std::byte* bytes) {
  store_half(header.d, bytes);
  store_half(header.dmin, bytes + 2);
  std::array<int, 12> packed{};
  for (int j = 0; j < kGroups; ++j) {
    const int s = static_cast<int>(header.s[j]);
    const int m = static_cast<int>(header.m[j]);
    if (j < 4) {
      packed[j] |= s;
      packed[j + 4] |= m;
    } else {
      packed[j + 4] |= (s & 15) | (m & 15) << 4;
      packed[j - 4] |= (s >> 4) << 6;
      packed[j] |= (m >> 4) << 6;
    }
  }
  for (int i = 0; i < 12; ++i) bytes[4 + i] = static_cast<std::byte>(packed[i]);
}

float to_code(float value, float super) {
  const float code = std::nearbyintf(value * inverse_scale(super));
  return code > 0 ? std::min(code, static_cast<float>(kLargest)) : 0.0f;
}

void choose_codes(std::span<const float> scale, std::span<const float> offset, Header& header) {
  for (int j = 0; j < kGroups; ++j) {
    header.s[j] = to_code(scale[j], header.d);
    header.m[j] = to_code(-offset[j], header.dmin);
  }
}

// What the weighted search works on: one block and the levels of the grid.
struct Block {
  std::span<const float> x;
  std::span<const float> weights;
  LevelTable table;
  std::array<float, kGroups> weight_sum{};

  std::span<const float> group_x(int j) const {
    return x.subspan(j * kGroupColumns, kGroupColumns);
  }
  std::span<const float> group_weights(int j) const {
    return weights.subspan(j * kGroupColumns, kGroupColumns);
  }
  void sums(int j, const Candidates& candidates, CandidateSums& out) const {
    scale_kernel().sums(group_x(j).data(), group_weights(j).data(), kGroupColumns, candidates,
                        table, out);
  }
};

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

// Tries the stored sub-scales around the present ones (s - 1 .. s + 2 by m - 1 .. m + 2), takes the
// best of each group and returns the block's weighted error; `next` gets the equations for the next
// (d, dmin).
double improve_codes(const Block& block, Header& header, SuperSystem& next) {
  double total = 0;
  for (int j = 0; j < kGroups; ++j) {
    Candidates candidates;
    std::array<float, kCandidates> s;
    std::array<float, kCandidates> m;
    for (int lane = 0; lane < kCandidates; ++lane) {
      s[lane] = std::clamp(header.s[j] + static_cast<float>((lane + 1) % 4 - 1), 0.0f, 63.0f);
      m[lane] = std::clamp(header.m[j] + static_cast<float>((lane / 4 + 1) % 4 - 1), 0.0f, 63.0f);
      candidates.scale[lane] = header.d * s[lane];
      candidates.offset[lane] = -(header.dmin * m[lane]);
    }
    CandidateSums sums;
    block.sums(j, candidates, sums);
    const int best = static_cast<int>(std::min_element(sums.rr, sums.rr + kCandidates) - sums.rr);
    header.s[j] = s[best];
    header.m[j] = m[best];
    total += sums.rr[best];
    next.add(s[best], m[best], sums, best, block.weight_sum[j]);
  }
  return total;
}

double error_of(const Block& block, const Header& header) {
  double total = 0;
  for (int j = 0; j < kGroups; ++j) {
    Candidates candidates;
    std::fill_n(candidates.scale, kCandidates, header.d * header.s[j]);
    std::fill_n(candidates.offset, kCandidates, -(header.dmin * header.m[j]));
    CandidateSums sums;
    block.sums(j, candidates, sums);
    total += sums.rr[0];
  }
  return total;
}

Header plain_header(std::span<const float> x) {
  std::array<float, kGroups> scale;
  std::array<float, kGroups> offset;
  for (int j = 0; j < kGroups; ++j) {
    const auto group = x.subspan(j * kGroupColumns, kGroupColumns);
    const float low = std::min(0.0f, *std::min_element(group.begin(), group.end()));
    const float high = std::max(low, *std::max_element(group.begin(), group.end()));
    scale[j] = high / 15 - low / 15;
    offset[j] = low;
  }
  Header header;
  header.d = round_to_half(*std::max_element(scale.begin(), scale.end()) / kLargest);
  header.dmin = round_to_half(-*std::min_element(offset.begin(), offset.end()) / kLargest);
  choose_codes(scale, offset, header);
  return header;
}

// Real-valued pairs per group, super-scales that store them best, then stored neighbors and a
// least-squares refit of the super-scales in turn while that helps.
Header search_header(const Block& block, const Header& plain) {
  constexpr int kRounds = 3;
  std::array<float, kGroups> scale, offset, drop, scale_weight, offset_weight;
  for (int j = 0; j < kGroups; ++j) {
    const ScaleAndOffset found =
        search_scale_and_offset(block.group_x(j), block.group_weights(j), block.table);
    scale[j] = found.scale;
    offset[j] = found.offset;
    drop[j] = -found.offset;
    scale_weight[j] = found.scale_weight;
    offset_weight[j] = found.offset_weight;
  }
  Header current;
  current.d = search_super_scale(scale, scale_weight, kLargest);
  current.dmin = search_super_scale(drop, offset_weight, kLargest);
  choose_codes(scale, offset, current);
  Header best = plain;
  double best_error = error_of(block, plain);
  for (int round = 0; round < kRounds; ++round) {
    SuperSystem next;
    const double error = improve_codes(block, current, next);
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

class Q4K final : public Grid {
 public:
  Q4K()
      : Grid({.name = "q4_k",
              .block_columns = kGroups * kGroupColumns,
              .group_columns = kGroupColumns,
              .block_bytes = kHeaderBytes + 128,
              .parameter_bytes = kHeaderBytes,
              .levels = integer_levels(0, 15),
              .affine = true,
              .uniform = true,
              .free_scale = false,
              .ggml_type = 12}) {}

  void fit(std::span<const float> x, std::span<const float> importance, bool search,
           std::byte* parameters) const override {
    Header header = plain_header(x);
    thread_local std::vector<float> weights;
    if (search && search_weights(x, importance, weights)) {
      Block block{.x = x, .weights = weights, .table = table()};
      for (size_t i = 0; i < weights.size(); ++i) block.weight_sum[i / kGroupColumns] += weights[i];
      header = search_header(block, header);
    }
    write_header(header, parameters);
  }

  void expand(const std::byte* parameters, float* scale, float* offset) const override {
    const Header header = read_header(parameters);
    for (int j = 0; j < kGroups; ++j) {
      scale[j] = header.d * header.s[j];
      offset[j] = -(header.dmin * header.m[j]);
    }
  }

  void snap(const float* scale, const float* offset, std::byte* parameters) const override {
    constexpr std::array<float, kGroups> kNone{};
    const std::span<const float> scales(scale, kGroups);
    const std::span<const float> offsets(offset == nullptr ? kNone.data() : offset, kGroups);
    std::array<float, kGroups> drop, ones;
    std::transform(offsets.begin(), offsets.end(), drop.begin(),
                   [](float value) { return std::max(0.0f, -value); });
    ones.fill(1);
    Header header;
    header.d = search_super_scale(scales, ones, kLargest);
    header.dmin = search_super_scale(drop, ones, kLargest);
    choose_codes(scales, offsets, header);
    write_header(header, parameters);
  }

  void set_group(int64_t group, float scale, float offset, std::byte* parameters) const override {
    Header header = read_header(parameters);
    header.s[group] = to_code(scale, header.d);
    header.m[group] = to_code(-offset, header.dmin);
    write_header(header, parameters);
  }

  void multiply(float scale_factor, float offset_factor, std::byte* parameters) const override {
    store_half(load_half(parameters) * scale_factor, parameters);
    store_half(load_half(parameters + 2) * offset_factor, parameters + 2);
  }

  void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const override {
    std::memcpy(block, parameters, kHeaderBytes);
    for (int pair = 0; pair < kGroups / 2; ++pair) {
      pack_nibble_halves(codes + pair * 64, 64, block + kHeaderBytes + pair * 32);
    }
  }

  void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const override {
    std::memcpy(parameters, block, kHeaderBytes);
    for (int pair = 0; pair < kGroups / 2; ++pair) {
      unpack_nibble_halves(block + kHeaderBytes + pair * 32, 64, codes + pair * 64);
    }
  }
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Grid>> make_q4_k(const GridRequest& request) {
  FRUGAL_RETURN_IF_ERROR(check_no_suffix("q4_k", request));
  return std::make_shared<Q4K>();
}

}  // namespace frugal::grid
