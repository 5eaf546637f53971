// CPython's random.Random(seed), as far as drawing examples and bootstraps needs it: the Mersenne
// Twister (Matsumoto and Nishimura, 1998), seeded by init_by_array, and the methods that CPython
// defines on it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace frugal::tasks {

class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);

  uint32_t next();             // 32 bits
  double uniform();            // random.random(): 53 bits, in [0, 1)
  uint64_t below(uint64_t n);  // random._randbelow(n), n >= 1
  // random.sample(range(n), k), k <= n.
  std::vector<size_t> sample(size_t n, size_t k);
  // random.choices(range(n), k=1).
  size_t choice(size_t n) { return static_cast<size_t>(uniform() * static_cast<double>(n)); }

 private:
  static constexpr size_t kSize = 624;
  void refill();
  std::array<uint32_t, kSize> state_{};
  size_t at_ = kSize;
};

}  // namespace frugal::tasks
