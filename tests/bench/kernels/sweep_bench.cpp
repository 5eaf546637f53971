// Speed of the column sweep and of the finish, for each implementation that this machine can run.
//
//   frugal_sweep_bench --benchmark_filter=avx512
//
// The problems are those of the tests (tests/kernels/layer_problem.h).
//
// flop: 2 for each weight and later column of its window (sweep), 2 for each weight and column of
// the matrix and code sweep that changes all codes (finish: an upper bound, unchanged codes cost
// nothing). `limit` runs dependent-free fused multiply-adds on registers: what one core can do at
// most with that instruction set.
#include <benchmark/benchmark.h>

#include <map>
#include <string>

#include "kernels/layer_problem.h"
#include "kernels/refine.h"

namespace frugal::kernels {
namespace {

// One for each shape: making one takes longer than sweeping it.
const LayerProblem& problem_of(int64_t rows, int64_t columns) {
  static std::map<std::pair<int64_t, int64_t>, LayerProblem> problems;
  const auto [at, is_new] = problems.try_emplace({rows, columns});
  if (is_new) at->second = random_problem(rows, columns, 1);
  return at->second;
}

struct Window {
  std::shared_ptr<const grid::Grid> grid;
  std::vector<int32_t> columns;
  std::vector<float> weights, factor, errors;
  grid::QuantizedMatrix matrix;
  SweepBlock block;

  Window(const char* name, const LayerProblem& problem, bool fit)
      : grid(grid_or_die(name, problem.columns)),
        columns(group_aware_order(problem, grid->spec().block_columns)),
        factor(inverse_factor(problem.hessian, columns)),
        errors(problem.weights.size()),
        matrix(grid::empty_matrix(grid, problem.rows, problem.columns)) {
    const int64_t width = problem.columns;
    const int64_t bytes = matrix.blocks_per_row() * grid->spec().parameter_bytes;
    for (int64_t r = 0; r < problem.rows; ++r) {
      for (const int32_t column : columns) weights.push_back(problem.weights[r * width + column]);
    }
    fit_blocks({.grid = grid.get(),
                .rows = problem.rows,
                .width = width,
                .weights = problem.weights.data(),
                .weights_stride = width,
                .importance = problem.importance.data(),
                .parameters = matrix.parameters.data(),
                .parameters_stride = bytes});
    block = {.grid = grid.get(),
             .rows = problem.rows,
             .width = width,
             .weights = weights.data(),
             .weights_stride = width,
             .factor = factor.data(),
             .factor_stride = width,
             .columns = columns.data(),
             .fit = fit,
             .importance = problem.importance.data(),
             .codes = matrix.codes.data(),
             .codes_stride = width,
             .parameters = matrix.parameters.data(),
             .parameters_stride = bytes,
             .errors = errors.data(),
             .errors_stride = width};
  }
};

void report(benchmark::State& state, double flop, int64_t weights) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(flop * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["ns/weight"] = benchmark::Counter(
      static_cast<double>(weights) * 1e-9,
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void run_sweep(benchmark::State& state, const SweepKernel& kernel, const char* name, int64_t width,
               bool fit) {
  constexpr int64_t kRows = 512;
  const Window window(name, problem_of(kRows, width), fit);
  for (auto _ : state) kernel.run(window.block);
  report(state, static_cast<double>(kRows) * width * (width - 1), kRows * width);
}

void run_refine(benchmark::State& state, const RefineKernel& kernel, const char* name,
                int64_t columns) {
  constexpr int64_t kRows = 128;
  const LayerProblem& problem = problem_of(kRows, columns);
  const Window window(name, problem, false);
  sweep(window.block);
  for (auto _ : state) {
    state.PauseTiming();
    grid::QuantizedMatrix matrix = window.matrix;
    state.ResumeTiming();
    kernel.run({.grid = window.grid.get(),
                .rows = kRows,
                .columns = columns,
                .target = problem.weights.data(),
                .target_stride = columns,
                .hessian = problem.hessian_f.data(),
                .hessian_stride = columns,
                .codes = matrix.codes.data(),
                .codes_stride = columns,
                .parameters = matrix.parameters.data(),
                .parameters_stride = window.block.parameters_stride},
               {});
  }
  report(state, 2.0 * kRows * columns * columns * 4, kRows * columns);
}

#if defined(__x86_64__) && !defined(__clang__)
// Twelve independent chains of a * b + c on registers of `width` floats.
#define FRUGAL_CHAINS(name, isa, width)                                                            \
  __attribute__((noinline, target(isa), optimize("fp-contract=fast"))) float name(int64_t steps) { \
    typedef float Register __attribute__((vector_size(4 * width)));                                \
    Register sum[12];                                                                              \
    for (int k = 0; k < 12; ++k) sum[k] = Register{} + static_cast<float>(steps % 97 + k);         \
    const Register factor = Register{} + 0.999f;                                                   \
    for (int64_t i = 0; i < steps; ++i) {                                                          \
      _Pragma("GCC unroll 12") for (int k = 0; k < 12; ++k) sum[k] = sum[k] * factor + factor;     \
    }                                                                                              \
    Register total = {};                                                                           \
    for (const Register& part : sum) total += part;                                                \
    return total[0];                                                                               \
  }
FRUGAL_CHAINS(chains_avx512, "avx512f,fma", 16)
FRUGAL_CHAINS(chains_avx2, "avx2,fma", 8)

void run_limit(benchmark::State& state, float (*chains)(int64_t), int width) {
  constexpr int64_t kSteps = 1 << 16;
  for (auto _ : state) benchmark::DoNotOptimize(chains(kSteps));
  report(state, 2.0 * kSteps * 12 * width, kSteps);
}
#endif

void register_benchmarks() {
  for (const SweepKernel& kernel : sweep_kernels()) {
    if (kernel.device != Device::kCpu || !kernel.available())
      continue;  // tests/bench/gpu/sweep.cpp
    for (const char* name : {"q4_0", "iq4_nl", "q4_k"}) {
      for (const int64_t width : {128, 256}) {
        if (width % (*grid::find_grid(name, 0))->spec().block_columns != 0) continue;
        for (const bool fit : {false, true}) {
          const std::string title = std::string("sweep/") + kernel.name + "/" + name + "/" +
                                    std::to_string(width) + (fit ? "/fit" : "/static");
          benchmark::RegisterBenchmark(title.c_str(), run_sweep, kernel, name, width, fit);
        }
      }
    }
  }
  for (const RefineKernel& kernel : refine_kernels()) {
    if (!kernel.available()) continue;
    for (const char* name : {"q4_0", "q4_k"}) {
      const std::string title = std::string("finish/") + kernel.name + "/" + name + "/1024";
      benchmark::RegisterBenchmark(title.c_str(), run_refine, kernel, name, 1024);
    }
  }
#if defined(__x86_64__) && !defined(__clang__)
  if (__builtin_cpu_supports("avx512f"))
    benchmark::RegisterBenchmark("limit/avx512", run_limit, chains_avx512, 16);
  if (__builtin_cpu_supports("fma"))
    benchmark::RegisterBenchmark("limit/avx2", run_limit, chains_avx2, 8);
#endif
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
