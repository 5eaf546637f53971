// Column moments of 2048 tokens, in bytes of the matrix read a second. The limit: only reading it,
// with the widest loads; up to 512 columns it lies in a cache, from some 4096 in memory.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernels/column_moments.h"

namespace frugal::kernels {
namespace {

constexpr int64_t kTokens = 2048;

std::vector<float> random_values(int64_t columns) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(kTokens * columns));
  for (float& value : values) value = normal(generator);
  return values;
}

void moments(benchmark::State& state) {
  const int64_t columns = state.range(0);
  const std::vector<float> x = random_values(columns);
  std::vector<double> squares(static_cast<size_t>(columns)), magnitudes(squares), maximum(squares);
  for (auto _ : state) {
    column_moments(x.data(), columns, kTokens, columns, squares.data(), magnitudes.data(),
                   maximum.data());
    benchmark::DoNotOptimize(squares.data());
  }
  state.SetBytesProcessed(state.iterations() * kTokens * columns * 4);
}

#if defined(__x86_64__) && !defined(__clang__)
// Eight independent sums of what is read, so that only loads can be slow.
__attribute__((noinline, target("avx512f"))) float read_all(const float* x, int64_t count) {
  typedef float Register __attribute__((vector_size(64), aligned(4)));
  Register sum[8] = {};
  for (int64_t i = 0; i + 128 <= count; i += 128) {
    _Pragma("GCC unroll 8") for (int k = 0; k < 8; ++k) sum[k] +=
        *reinterpret_cast<const Register*>(x + i + 16 * k);
  }
  Register total = {};
  for (const Register& part : sum) total += part;
  return total[0];
}

void limit(benchmark::State& state) {
  if (!__builtin_cpu_supports("avx512f")) return state.SkipWithError("this CPU has no AVX-512");
  const std::vector<float> x = random_values(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(read_all(x.data(), kTokens * state.range(0)));
  state.SetBytesProcessed(state.iterations() * kTokens * state.range(0) * 4);
}
BENCHMARK(limit)->Arg(128)->Arg(256)->Arg(512)->Arg(2048)->Arg(8192)->Unit(benchmark::kMicrosecond);
#endif

BENCHMARK(moments)->Arg(128)->Arg(256)->Arg(512)->Arg(2048)->Arg(8192)->Unit(
    benchmark::kMicrosecond);

}  // namespace
}  // namespace frugal::kernels

BENCHMARK_MAIN();
