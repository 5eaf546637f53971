#include "grid/flat_grid.h"

#include <algorithm>
#include <array>

#include "grid/fast_search.h"
#include "grid/half.h"
#include "grid/scale_search.h"

namespace frugal::grid {

void FlatGrid::fit(std::span<const float> x, std::span<const float> importance, bool search,
                   std::byte* parameters) const {
  const float plain = round_to_half(plain_scale(signed_maximum(x)));
  thread_local std::vector<float> weights;
  if (!search || !search_weights(x, importance, weights)) {
    store_half(plain, parameters);
    return;
  }
  store_half(search_scale(x, weights, table(), plain), parameters);
}

void FlatGrid::fit_fast(std::span<const BlockToFit> blocks) const {
  GroupPack& pack = thread_pack();
  for (; !blocks.empty(); blocks = blocks.subspan(std::min<size_t>(kGroupLanes, blocks.size()))) {
    const auto now = blocks.first(std::min<size_t>(kGroupLanes, blocks.size()));
    pack.load(spec(), now);
    GroupValues plain;
    for (int lane = 0; lane < kGroupLanes; ++lane)
      plain[lane] = round_to_half(plain_scale(pack.stored(lane, pack.largest()[lane])));
    const GroupValues found = fast_scales(pack, table(), plain);
    for (size_t i = 0; i < now.size(); ++i) {
      const auto lane = static_cast<int>(i);
      store_half(pack.searchable(lane) ? found[lane] : plain[lane], now[i].parameters);
    }
  }
}

void FlatGrid::expand(const std::byte* parameters, float* scale, float* offset) const {
  *scale = load_half(parameters);
  *offset = 0;
}

void FlatGrid::snap(const float* scale, const float* /*offset*/, std::byte* parameters) const {
  store_half(*scale, parameters);
}

void FlatGrid::set_group(int64_t /*group*/, float scale, float /*offset*/,
                         std::byte* parameters) const {
  store_half(scale, parameters);
}

void FlatGrid::multiply(float scale_factor, float /*offset_factor*/, std::byte* parameters) const {
  store_half(load_half(parameters) * scale_factor, parameters);
}

void pack_nibble_halves(const uint8_t* codes, int64_t count, std::byte* bytes) {
  for (int64_t j = 0; j < count / 2; ++j) {
    bytes[j] = static_cast<std::byte>(codes[j] | codes[j + count / 2] << 4);
  }
}

void unpack_nibble_halves(const std::byte* bytes, int64_t count, uint8_t* codes) {
  for (int64_t j = 0; j < count / 2; ++j) {
    codes[j] = static_cast<uint8_t>(bytes[j]) & 15;
    codes[j + count / 2] = static_cast<uint8_t>(bytes[j]) >> 4;
  }
}

void pack_five_bits(const uint8_t* codes, std::byte* bytes) {
  std::array<int, 4> fifth{};
  std::array<uint8_t, 32> low;
  for (int i = 0; i < 32; ++i) {
    fifth[i / 8] |= (codes[i] >> 4) << i % 8;
    low[i] = codes[i] & 15;
  }
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(fifth[i]);
  pack_nibble_halves(low.data(), 32, bytes + 4);
}

void unpack_five_bits(const std::byte* bytes, uint8_t* codes) {
  unpack_nibble_halves(bytes + 4, 32, codes);
  for (int i = 0; i < 32; ++i)
    codes[i] |= static_cast<uint8_t>((static_cast<int>(bytes[i / 8]) >> i % 8 & 1) << 4);
}

std::vector<float> integer_levels(int low, int high) {
  std::vector<float> levels;
  for (int level = low; level <= high; ++level) levels.push_back(static_cast<float>(level));
  return levels;
}

}  // namespace frugal::grid
