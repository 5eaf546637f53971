// Speed of the scale search, one row of 4096 weights after the other on one thread.
//
//   frugal_fit_bench --benchmark_filter=q4_k
//
// flop, of grids with one scale a block and no offset (search_scale): for each weight 7 for each of
// 32 candidates, then twice 14 for each of 16. Finding the nearest level is not counted, nor are
// the sums that all candidates share. The limit is that of frugal_sweep_bench.
#include <benchmark/benchmark.h>

#include <cmath>

#include "base/random.h"
#include "grid/flat_grid.h"
#include "grid/grid.h"

namespace frugal::grid {
namespace {

constexpr int64_t kColumns = 4096;
constexpr double kSearchFlop = 32 * 7 + 2 * 16 * 14;  // for each weight, see above

void fit(benchmark::State& state, const std::string& name) {
  const auto grid = *find_grid(name, kColumns);
  const GridSpec& spec = grid->spec();
  base::RandomStream random(1, "bench/fit");
  std::vector<float> x(kColumns), importance(kColumns);
  for (float& value : x)
    value = static_cast<float>(random.normal() * (random.bernoulli(0.03) ? 0.3 : 0.05));
  for (float& value : importance) value = static_cast<float>(std::exp(random.normal()));
  std::vector<std::byte> parameters(static_cast<size_t>(spec.parameter_bytes));
  for (auto _ : state) {
    for (int64_t start = 0; start < kColumns; start += spec.block_columns) {
      const auto width = static_cast<size_t>(spec.block_columns);
      grid->fit({&x[start], width}, {&importance[start], width}, true, parameters.data());
      benchmark::DoNotOptimize(parameters.data());
    }
  }
  state.counters["ns/weight"] = benchmark::Counter(
      kColumns * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  if (dynamic_cast<const FlatGrid*>(grid.get()) != nullptr) {
    state.counters["GFLOP/s"] = benchmark::Counter(kColumns * kSearchFlop * 1e-9,
                                                   benchmark::Counter::kIsIterationInvariantRate);
  }
}

}  // namespace
}  // namespace frugal::grid

int main(int argc, char** argv) {
  for (const auto& help : frugal::grid::grid_help()) {
    const std::string name = help.name.substr(0, help.name.find('['));
    benchmark::RegisterBenchmark(name.c_str(),
                                 [name](benchmark::State& s) { frugal::grid::fit(s, name); });
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
