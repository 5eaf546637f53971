#include "grid/flat_grid.h"

#include "grid/half.h"
#include "grid/scale_search.h"

namespace frugal::grid {

void FlatGrid::fit(std::span<const float> x, std::span<const float> importance, bool search,
                   std::byte* parameters) const {
  const float plain = round_to_half(plain_scale(x));
  thread_local std::vector<float> weights;
  if (!search || !search_weights(x, importance, weights)) {
    store_half(plain, parameters);
    return;
  }
  store_half(search_scale(x, weights, table(), plain), parameters);
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

std::vector<float> integer_levels(int low, int high) {
  std::vector<float> levels;
  for (int level = low; level <= high; ++level) levels.push_back(static_cast<float>(level));
  return levels;
}

}  // namespace frugal::grid
