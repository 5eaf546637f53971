// Speed of the exact refit on a mask (conjugate gradients), on the tests' problems: 768 rows, half
// of the weights cut by their OBS score.
//
//   OMP_NUM_THREADS=1 frugal_refit_bench
//
// `steps`: twenty for every row, so that the work is known. flop: 2 for each row and entry of H a
// step and once at the start; the vector work of a step (13 for each weight) is counted, too. The
// limit of a thread is that of fp32 fused multiply-adds. `until_done`: as recipe S calls it, rows
// stop by themselves; no flop, but the steps of the slowest row.
#include <benchmark/benchmark.h>

#include "layerwise/pruning/sparse.h"
#include "support/random_tensors.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

constexpr int64_t kRows = 768, kSteps = 20;

struct Case {
  at::Tensor weights, mask;
  Factor factor;

  explicit Case(int64_t columns) : weights(random_matrix(1, "weights", kRows, columns)) {
    const at::Tensor hessian = second_moment(random_inputs(1, 2 * columns, columns));
    factor = factorize(hessian, at::arange(columns, at::kLong), {}).value();
    mask = choose_mask(weight_scores(weights, WeightScore::kObs, hessian.diagonal(), &factor),
                       {.fraction = 0.5}, PatternScope::kRow);
  }
};

void steps(benchmark::State& state) {
  const Case c(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(refit(c.weights, c.mask, c.factor, {.steps = kSteps, .tolerance = 0}));
  }
  const auto columns = static_cast<double>(state.range(0));
  const double flop = kRows * columns * (2 * columns * (kSteps + 1) + 13 * kSteps);
  state.counters["GFLOP/s"] =
      benchmark::Counter(flop * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void until_done(benchmark::State& state) {
  const Case c(state.range(0));
  RefitResult result;
  for (auto _ : state) result = refit(c.weights, c.mask, c.factor, {});
  state.counters["steps"] = static_cast<double>(result.steps);
  state.counters["unfinished"] = static_cast<double>(result.rows_unfinished);
}

BENCHMARK(steps)->Arg(256)->Arg(768)->Arg(2048)->Unit(benchmark::kMillisecond);
BENCHMARK(until_done)->Arg(256)->Arg(768)->Arg(2048)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace frugal::layerwise

BENCHMARK_MAIN();
