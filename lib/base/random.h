// Named random streams: the same seed and name give the same numbers on every machine, in whatever
// order streams are used. PCG-XSL-RR 128/64 (O'Neill 2014), seeded by XXH3-128 of the seed and the
// name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace frugal::base {

class RandomStream {
 public:
  // Name by purpose and index: RandomStream(seed, "data/shuffle/epoch-3").
  RandomStream(uint64_t seed, std::string_view name);

  uint64_t next();                 // uniform over 64 bits
  double uniform();                // [0, 1), 53 bits
  uint64_t below(uint64_t bound);  // [0, bound), unbiased; bound > 0
  double normal();                 // standard normal
  bool bernoulli(double probability);
  // An index with probability proportional to its weight; negative weights count as zero, one must
  // be positive.
  size_t weighted(std::span<const double> weights);

  template <typename T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }
  template <typename T>
  const T& pick(std::span<const T> items) {
    return items[below(items.size())];
  }

 private:
  unsigned __int128 state_;
  unsigned __int128 increment_;
};

}  // namespace frugal::base
