// Causal attention of one window with bfloat16 factors, in GFLOP/s of what has to be computed: the
// products on and below the diagonal (two forward, five more backward). The limit is that of the
// products (bf16_product_bench.cpp); what is lost goes into the softmax and into packing.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernels/bf16_attention.h"

namespace frugal::kernels {
namespace {

struct Window {
  explicit Window(const HeadGroup& group) : group(group) {
    const auto each = static_cast<size_t>(group.tokens * group.size);
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    for (std::vector<float>* const list : {&query, &key, &value, &out, &by_key, &by_value}) {
      list->resize(each);
      for (float& number : *list) number = normal(generator);
    }
    log_sums.resize(static_cast<size_t>(group.tokens));
  }
  template <typename T>
  HeadRows<T> rows(std::vector<float>& values) const {
    return {.values = values.data(), .stride = group.size, .head_step = 0};
  }
  void forward(Bf16Attention& attention) {
    attention.forward(rows<const float>(query), rows<const float>(key), rows<const float>(value),
                      rows<float>(out), log_sums.data());
  }
  HeadGroup group;
  std::vector<float> query, key, value, out, by_key, by_value, log_sums;
};

void count(benchmark::State& state, const HeadGroup& group, int products) {
  const auto pairs = static_cast<double>(group.tokens * (group.tokens + 1) / 2);
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * products * pairs * static_cast<double>(group.size),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void forward(benchmark::State& state) {
  if (fast_bf16_kernel() == nullptr) return state.SkipWithError("this CPU has no AVX512-BF16");
  Window window({.tokens = state.range(0), .size = 64, .heads = 1});
  Bf16Attention attention(window.group);
  for (auto _ : state) {
    window.forward(attention);
    benchmark::DoNotOptimize(window.out.data());
  }
  count(state, window.group, 2);
}

void backward(benchmark::State& state) {
  if (fast_bf16_kernel() == nullptr) return state.SkipWithError("this CPU has no AVX512-BF16");
  Window window({.tokens = state.range(0), .size = 64, .heads = 1});
  Bf16Attention attention(window.group);
  window.forward(attention);
  std::vector<float> by_query(window.out.size());
  for (auto _ : state) {
    attention.backward(window.rows<const float>(window.query), window.rows<const float>(window.key),
                       window.rows<const float>(window.value), window.log_sums.data(),
                       window.rows<const float>(window.out), window.rows<float>(by_query),
                       window.rows<float>(window.by_key), window.rows<float>(window.by_value));
    benchmark::DoNotOptimize(by_query.data());
  }
  count(state, window.group, 5);
}

BENCHMARK(forward)->Arg(256)->Arg(512)->Arg(2048)->Unit(benchmark::kMicrosecond);
BENCHMARK(backward)->Arg(256)->Arg(512)->Arg(2048)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace frugal::kernels

BENCHMARK_MAIN();
