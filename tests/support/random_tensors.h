// Seeded matrices for tests.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/random.h"
#include "tensor/aten.h"

namespace frugal::test {

// Standard normal, fp32.
inline at::Tensor random_matrix(uint64_t seed, std::string_view name, int64_t rows,
                                int64_t columns) {
  base::RandomStream stream(seed, name);
  at::Tensor result = at::empty({rows, columns}, at::kFloat);
  float* data = result.data_ptr<float>();
  for (int64_t i = 0; i < rows * columns; ++i) data[i] = static_cast<float>(stream.normal());
  return result;
}

// Inputs whose columns are correlated (a shared low-rank part) and of unequal size, [tokens,
// columns] fp32.
inline at::Tensor random_inputs(uint64_t seed, int64_t tokens, int64_t columns) {
  const int64_t rank = columns / 4 + 1;
  at::Tensor x = random_matrix(seed, "own", tokens, columns);
  x += 2 *
       at::mm(random_matrix(seed, "factors", tokens, rank),
              random_matrix(seed, "loadings", rank, columns)) /
       std::sqrt(static_cast<double>(rank));
  return x * random_matrix(seed, "channels", 1, columns).exp();
}

inline at::Tensor second_moment(const at::Tensor& x) {
  const at::Tensor d = x.to(at::kDouble);
  return at::mm(d.t(), d) / static_cast<double>(x.size(0));
}

// Restores the number of threads.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : saved_(at::get_num_threads()) {
    at::set_num_threads(threads);
  }
  ~ThreadCount() { at::set_num_threads(saved_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int saved_;
};

}  // namespace frugal::test
