// Second moments XᵀX of 2048 tokens: packing and products of bfloat16 factors, in GFLOP/s. The
// limit: a 512-bit dot product of 16 pairs a cycle where AVX512-BF16 is half as wide as its
// registers (Zen 4), 64 flop; fp32 fused multiply-adds reach half of that.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/bf16_product.h"

namespace frugal::kernels {
namespace {

constexpr int64_t kTokens = 2048;

struct Packed {
  explicit Packed(int64_t columns)
      : values(static_cast<size_t>(kTokens * columns)),
        words(static_cast<size_t>(panel_count(columns) * panel_words(kTokens))) {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(generator);
    source = {.values = values.data(), .stride = columns, .rows = kTokens, .columns = columns};
  }
  void pack(const Bf16Kernel& kernel) {
    for (int64_t p = 0; p < panel_count(source.columns); ++p)
      kernel.pack_columns(source, p, words.data() + p * panel_words(kTokens));
  }
  std::vector<float> values;
  std::vector<uint32_t> words;
  PackSource source;
};

void products(benchmark::State& state) {
  const Bf16Kernel* const kernel = fast_bf16_kernel();
  if (kernel == nullptr) return state.SkipWithError("this CPU has no AVX512-BF16");
  const int64_t columns = state.range(0);
  Packed x(columns);
  x.pack(*kernel);
  std::vector<float> out(static_cast<size_t>(columns * columns));
  for (auto _ : state) {
    for (int64_t i = 0; i < panel_count(columns); ++i) {
      for (int64_t j = 0; j < panel_count(columns); ++j) {
        kernel->multiply(x.words.data() + i * panel_words(kTokens),
                         x.words.data() + j * panel_words(kTokens), pair_count(kTokens),
                         std::min(kPanel, columns - i * kPanel),
                         std::min(kPanel, columns - j * kPanel),
                         out.data() + i * kPanel * columns + j * kPanel, columns);
      }
    }
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * static_cast<double>(kTokens * columns * columns),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void packing(benchmark::State& state) {
  const Bf16Kernel* const kernel = fast_bf16_kernel();
  if (kernel == nullptr) return state.SkipWithError("this CPU has no AVX512-BF16");
  Packed x(state.range(0));
  for (auto _ : state) {
    x.pack(*kernel);
    benchmark::DoNotOptimize(x.words.data());
  }
  state.SetBytesProcessed(state.iterations() * kTokens * state.range(0) * 4);
}

BENCHMARK(products)->Arg(256)->Arg(768)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK(packing)->Arg(256)->Arg(768)->Arg(2048)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace frugal::kernels

BENCHMARK_MAIN();
