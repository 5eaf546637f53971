// Speed of SparseGPT's column sweep over one window, for each implementation that this machine can
// run, on the problems of the tests (tests/kernels/layer_problem.h).
//
//   frugal_mask_sweep_bench --benchmark_filter=avx512
//
// flop: 2 for each weight and later column of its window. The choice of n:m masks and the divisions
// are not counted. The limit is that of sweep_bench.cpp: fused multiply-adds on registers.
#include <benchmark/benchmark.h>

#include <map>
#include <string>

#include "kernels/layer_problem.h"
#include "kernels/mask_sweep.h"

namespace frugal::kernels {
namespace {

constexpr int64_t kRows = 512;

struct Case {
  LayerProblem problem;
  std::vector<float> factor;
  std::vector<uint8_t> mask;
};

// One for each width: making one takes longer than sweeping it.
const Case& case_of(int64_t width) {
  static std::map<int64_t, Case> cases;
  const auto [at, is_new] = cases.try_emplace(width);
  if (is_new) {
    LayerProblem problem = random_problem(kRows, width, 1);
    std::vector<float> factor = inverse_factor(problem.hessian, identity_order(width));
    at->second = {std::move(problem), std::move(factor), random_mask(kRows, width, 5)};
  }
  return at->second;
}

void run(benchmark::State& state, const MaskSweepKernel& kernel, int64_t width, int64_t kept,
         int64_t group) {
  const Case& c = case_of(width);
  std::vector<float> weights = c.problem.weights, errors(weights.size());
  std::vector<uint8_t> mask = c.mask;
  const MaskSweep sweep{.rows = kRows,
                        .width = width,
                        .weights = weights.data(),
                        .weights_stride = width,
                        .factor = c.factor.data(),
                        .factor_stride = width,
                        .mask = mask.data(),
                        .mask_stride = width,
                        .group = group,
                        .kept = kept,
                        .errors = errors.data(),
                        .errors_stride = width};
  for (auto _ : state) {
    state.PauseTiming();  // the sweep changes its weights
    weights = c.problem.weights;
    state.ResumeTiming();
    kernel.run(sweep);
  }
  const auto count = static_cast<double>(kRows * width);
  state.counters["GFLOP/s"] = benchmark::Counter(count * static_cast<double>(width - 1) * 1e-9,
                                                 benchmark::Counter::kIsIterationInvariantRate);
  state.counters["ns/weight"] = benchmark::Counter(
      count * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void register_benchmarks() {
  for (const MaskSweepKernel& kernel : mask_sweep_kernels()) {
    if (kernel.device != Device::kCpu || !kernel.available()) continue;
    for (const int64_t width : {128, 256}) {
      const std::string title = std::string("/") + kernel.name + "/" + std::to_string(width);
      benchmark::RegisterBenchmark(("given" + title).c_str(), run, kernel, width, 0, 0);
      benchmark::RegisterBenchmark(("2:4" + title).c_str(), run, kernel, width, 2, 4);
    }
  }
}

}  // namespace
}  // namespace frugal::kernels

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  frugal::kernels::register_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
