// Speed of the factorization that the solvers of a stage share, on the tests' second moments.
//
//   OMP_NUM_THREADS=1 frugal_factor_bench
//
// flop: n³/3 for the Cholesky factorization, n³/3 for the inverse of a triangular matrix, in fp64;
// what `factorize` does besides (copies, checks for NaN, the permutation) is not counted. The limit
// of a thread is half of what fp32 fused multiply-adds reach there. `whole`: one call of LibTorch.
#include <benchmark/benchmark.h>

#include "layerwise/rounding/factor.h"
#include "support/random_tensors.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

void report(benchmark::State& state, double thirds) {
  const auto n = static_cast<double>(state.range(0));
  state.counters["GFLOP/s"] = benchmark::Counter(thirds * n * n * n / 3 * 1e-9,
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

at::Tensor moment_of(int64_t columns) {
  at::Tensor hessian = second_moment(random_inputs(7, 2 * columns, columns));
  hessian.diagonal().add_(0.01 * hessian.diagonal().mean());
  return hessian;
}

void whole_factorization(benchmark::State& state) {
  const at::Tensor hessian = moment_of(state.range(0));
  const at::Tensor order = at::arange(state.range(0), at::kLong);
  for (auto _ : state) benchmark::DoNotOptimize(factorize(hessian, order, {}));
  report(state, 2);
}

void cholesky(benchmark::State& state, at::Tensor (*run)(const at::Tensor&)) {
  const at::Tensor hessian = moment_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(run(hessian));
  report(state, 1);
}

void inverse(benchmark::State& state, at::Tensor (*run)(const at::Tensor&)) {
  const at::Tensor lower = lower_cholesky(moment_of(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(run(lower));
  report(state, 1);
}

void sizes(benchmark::internal::Benchmark* bench) {
  for (const int64_t n : {256, 768, 2048}) bench->Arg(n);
  bench->Unit(benchmark::kMillisecond);
}
BENCHMARK(whole_factorization)->Name("factorize")->Apply(sizes);
BENCHMARK_CAPTURE(cholesky, tiles, lower_cholesky)->Apply(sizes);
BENCHMARK_CAPTURE(cholesky, whole, lower_cholesky_whole)->Apply(sizes);
BENCHMARK_CAPTURE(inverse, tiles, invert_lower)->Apply(sizes);
BENCHMARK_CAPTURE(inverse, whole, invert_lower_whole)->Apply(sizes);

}  // namespace
}  // namespace frugal::layerwise

BENCHMARK_MAIN();
