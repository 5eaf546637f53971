#include "tasks/python_random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_set>

namespace frugal::tasks {

PythonRandom::PythonRandom(uint64_t seed) {
  std::vector<uint32_t> key = {static_cast<uint32_t>(seed)};
  if (seed >> 32 != 0) key.push_back(static_cast<uint32_t>(seed >> 32));
  state_[0] = 19650218u;
  for (uint32_t i = 1; i < kSize; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  size_t i = 1, j = 0;
  const auto wrap = [&] {
    if (++i < kSize) return;
    state_[0] = state_[kSize - 1];
    i = 1;
  };
  for (size_t k = std::max(kSize, key.size()); k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] +
                static_cast<uint32_t>(j);
    wrap();
    j = (j + 1) % key.size();
  }
  for (size_t k = kSize - 1; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) -
                static_cast<uint32_t>(i);
    wrap();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  constexpr size_t kShift = 397;
  for (size_t i = 0; i < kSize; ++i) {
    const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kSize] & 0x7fffffffu);
    state_[i] = state_[(i + kShift) % kSize] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
  }
  at_ = 0;
}

uint32_t PythonRandom::next() {
  if (at_ == kSize) refill();
  uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

double PythonRandom::uniform() {
  const uint32_t a = next() >> 5, b = next() >> 6;
  return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

uint64_t PythonRandom::below(uint64_t n) {
  const int bits = std::bit_width(n);
  const auto draw = [&]() -> uint64_t {
    if (bits <= 32) return next() >> (32 - bits);
    const uint64_t low = next();
    return low | (static_cast<uint64_t>(next() >> (64 - bits)) << 32);
  };
  uint64_t value = draw();
  while (value >= n) value = draw();
  return value;
}

std::vector<size_t> PythonRandom::sample(size_t n, size_t k) {
  std::vector<size_t> result(k);
  // The size of a set of k, in CPython's measure: below it a list of all is cheaper.
  double set_size = 21;
  if (k > 5) set_size += std::pow(4, std::ceil(std::log(static_cast<double>(k * 3)) / std::log(4)));
  if (static_cast<double>(n) <= set_size) {
    std::vector<size_t> pool(n);
    for (size_t i = 0; i < n; ++i) pool[i] = i;
    for (size_t i = 0; i < k; ++i) {
      const size_t drawn = below(n - i);
      result[i] = pool[drawn];
      pool[drawn] = pool[n - i - 1];
    }
    return result;
  }
  std::unordered_set<size_t> seen;
  for (size_t& value : result) {
    do value = below(n);
    while (!seen.insert(value).second);
  }
  return result;
}

}  // namespace frugal::tasks
