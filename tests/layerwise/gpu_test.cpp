// On a real GPU: statistics, factor, sweep and walk against the CPU. Label `gpu`.
#include <cstdlib>

#include "kernels/cuda_module.h"
#include "layerwise/pruning/sparse.h"
#include "layerwise/rounding/gptaq.h"
#include "layerwise/rounding/gptq.h"
#include "layerwise/rounding/order.h"
#include "layerwise/walk/statistics.h"
#include "layerwise/walk/walk.h"
#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "support/toy_model.h"
#include "tensor/aten.h"
#include "tensor/copy_queue.h"
#include "tensor/device.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

// Skips where no CUDA device is usable, fails there with FRUGAL_REQUIRE_GPU=1.
class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto device = tensor::open_device("cuda");
    if (device.ok()) {
      device_ = *device;
      return;
    }
    const char* const required = std::getenv("FRUGAL_REQUIRE_GPU");
    if (required != nullptr && std::string_view(required) == "1")
      FAIL() << "FRUGAL_REQUIRE_GPU=1, but " << device.status().ToString();
    GTEST_SKIP() << "no CUDA device: " << device.status().message();
  }
  at::Device device_ = at::kCPU;
};

TEST_F(Gpu, SecondMomentOfBf16InTf32) {
  const at::Tensor x = random_inputs(41, 4096, 512).to(at::kBFloat16);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const InputStatistics cpu,
                              gather_statistics({x}, Needs::kHessian, "cpu"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const InputStatistics gpu,
                              gather_statistics({x.to(device_)}, Needs::kHessian, "gpu"));
  // Products are exact; tensor cores may cut sums at 2^-22 of the running value (4096 of them).
  const double tolerance = 4096 * 0x1p-22 * cpu.hessian.diagonal().max().item<double>();
  EXPECT_LT((gpu.hessian - cpu.hessian).abs().max().item<double>(), tolerance);
  EXPECT_TRUE(at::equal(gpu.hessian, gpu.hessian.t()));
}

TEST_F(Gpu, FactorIsTheCpus) {
  const at::Tensor h = second_moment(random_inputs(42, 2000, 700));
  const at::Tensor order = column_order(h.diagonal(), 1, ColumnOrder::kGroupAware);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor cpu, factorize(h, order, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor gpu, factorize(h.to(device_), order, {}));
  EXPECT_TRUE(gpu.upper.is_cuda());
  const double largest = cpu.upper.abs().max().item<double>();
  EXPECT_LT((gpu.upper.cpu() - cpu.upper).abs().max().item<double>(), 1e-8 * largest);
  EXPECT_EQ(gpu.recoveries, cpu.recoveries);
}

TEST_F(Gpu, SweepReachesTheCpusObjective) {
  for (const char* name : {"q4_0", "iq4_nl", "q4_k", "int4:g32:asym"}) {
    const auto grid = grid::find_grid(name, 1024).value();
    const at::Tensor weights = random_matrix(43, "weights", 300, 1024);
    const at::Tensor h = second_moment(random_inputs(43, 3000, 1024));
    const at::Tensor order =
        column_order(h.diagonal(), grid->spec().block_columns, ColumnOrder::kGroupAware);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor factor, factorize(h, order, {}));
    const GptqOptions plain{.sweeps = 0, .refits = 0};
    const GptqResult cpu = gptq(weights, h.diagonal(), factor, grid, plain);
    const GptqResult gpu = gptq(weights.to(device_), h.diagonal(), factor, grid, plain);
    EXPECT_EQ(gpu.sweep_kernel, "cuda") << gpu.fallback;
    const double own = output_error(decode(gpu.matrix), weights, factor.damped).squared;
    EXPECT_NEAR(gpu.sweep_objective, own, 1e-3 * own) << name;
    // Other roundings between windows flip codes near a middle, up or down: their sum hardly moves.
    EXPECT_NEAR(gpu.sweep_objective, cpu.sweep_objective, 1e-2 * cpu.sweep_objective) << name;
  }
}

// Solvers whose loops are the CPU's get factors that lie on the device.
TEST_F(Gpu, FactorsThereServeSolversHere) {
  const at::Tensor weights = random_matrix(45, "weights", 48, 512);
  const at::Tensor h = second_moment(random_inputs(45, 2000, 512));
  const at::Tensor order = at::arange(512, at::kLong);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor cpu, factorize(h, order, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor gpu, factorize(h.to(device_), order, {}));
  // fp64 factors that differ by their condition times 2^-53, far below fp32.
  const auto near = [](const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>() <= 1e-6 * b.abs().max().item<double>();
  };
  for (const PatternOf of : {PatternOf::kWeights, PatternOf::kRows, PatternOf::kColumns}) {
    const Pattern pattern{.fraction = 0.5, .of = of};
    EXPECT_TRUE(near(pattern_scores(weights, pattern, WeightScore::kObs, h.diagonal(), &gpu),
                     pattern_scores(weights, pattern, WeightScore::kObs, h.diagonal(), &cpu)));
  }
  const at::Tensor mask = choose_mask(weight_scores(weights, WeightScore::kObs, h.diagonal(), &cpu),
                                      {.fraction = 0.5}, PatternScope::kRow);
  // Both minimize the same convex objective by the same loop; what is left of it is known to the
  // tolerance at which rows stop.
  const RefitOptions options;
  const double expected = refit(weights, mask, cpu, options).objective;
  EXPECT_NEAR(refit(weights, mask, gpu, options).objective, expected,
              2 * options.tolerance * expected);
  const auto grid = grid::find_grid("q4_0", 512).value();
  const GptqOptions plain{.sweeps = 0, .refits = 0};
  const GptqResult masked = gptq(weights.to(device_), h.diagonal(), gpu, grid, plain, mask);
  EXPECT_EQ(masked.fallback, "sweeps with a mask run on the CPU");
  EXPECT_TRUE(decode(masked.matrix).masked_select(mask.eq(0)).eq(0).all().item<bool>());
}

TEST_F(Gpu, TheSweepOfGptaqReachesTheCpusObjective) {
  const auto grid = grid::find_grid("q4_0", 512).value();
  const at::Tensor weights = random_matrix(46, "weights", 200, 512);
  const at::Tensor inputs = random_inputs(46, 2000, 512);
  const at::Tensor h = second_moment(inputs);
  const at::Tensor drift = gather_drift({inputs * 1.01}, {inputs}, {inputs});
  const at::Tensor order = column_order(h.diagonal(), 32, ColumnOrder::kGroupAware);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor cpu, factorize(h, order, {}));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Factor gpu, factorize(h.to(device_), order, {}));
  const GptqOptions plain{.sweeps = 0, .refits = 0};
  const GptqResult here = gptaq(weights, weights, drift, 0.5, h.diagonal(), cpu, grid, plain);
  const GptqResult there = gptaq(weights, weights, drift, 0.5, h.diagonal(), gpu, grid, plain);
  EXPECT_EQ(there.sweep_kernel, "cuda") << there.fallback;
  // As above: codes near a middle flip up or down.
  EXPECT_NEAR(there.sweep_objective, here.sweep_objective, 1e-2 * here.sweep_objective);
}

// Shrinks every weight and remembers what it was shown.
class ShrinkingSolver final : public StageSolver {
 public:
  Needs needs(const architecture::StageRef&) const override { return Needs::kHessian; }
  DriftForm drift_form() const override { return DriftForm::kOutputs; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    seen.push_back(problem);
    return problem.weights * 0.9;
  }
  absl::Status store_layer(int64_t) override { return absl::OkStatus(); }
  absl::StatusOr<bool> has_stored(int64_t) override { return false; }
  absl::StatusOr<at::Tensor> restore(const StageProblem&) override { return at::Tensor(); }
  std::vector<StageProblem> seen;
};

TEST_F(Gpu, CopiesBesideComputationsLoseNothing) {
  const tensor::CopyQueue queue(device_);
  const at::Tensor numbers = random_matrix(44, "numbers", 512, 512);
  std::vector<at::Tensor> away;
  for (int i = 0; i < 20; ++i) away.push_back(queue.to_host(numbers.to(device_) + i));
  std::vector<tensor::CopyQueue::Arrival> arrivals;
  for (const at::Tensor& value : away) arrivals.push_back(queue.start(value));
  for (int i = 0; i < 20; ++i) {
    const at::Tensor back = queue.finish(std::move(arrivals[static_cast<size_t>(i)]));
    EXPECT_TRUE(back.is_cuda());
    EXPECT_TRUE(at::equal(back.cpu(), numbers + i)) << i;
  }
}

TEST_F(Gpu, WalksBeyondItsMemoryAndAsTheCpu) {
  const test::TemporaryFolder folder;
  const format::Checkpoint checkpoint = save_toy(toy_decoder({}), folder.path());
  const text::Windows windows = toy_windows(12, 32);
  ShrinkingSolver cpu, resident, limited;
  const WalkOptions options{.device = device_, .chunk_tokens = 64, .held_out = 3};
  WalkOptions on_cpu = options, tight = options;
  on_cpu.device = at::kCPU;
  tight.spill_bytes = 3 * 64 * 32 * 4;  // room for three chunks of the residual stream
  FRUGAL_ASSERT_OK(walk(checkpoint, windows, on_cpu, cpu));
  FRUGAL_ASSERT_OK(walk(checkpoint, windows, options, resident));
  FRUGAL_ASSERT_OK(walk(checkpoint, windows, tight, limited));
  ASSERT_EQ(limited.seen.size(), cpu.seen.size());
  for (size_t i = 0; i < cpu.seen.size(); ++i) {
    const at::Tensor expected = cpu.seen[i].statistics.hessian;
    const at::Tensor found = resident.seen[i].statistics.hessian;
    // fp32 forwards through some forty roundings a layer, each 2^-24 of values near 1.
    EXPECT_LT((found - expected).norm().item<double>(), 1e-4 * expected.norm().item<double>())
        << cpu.seen[i].where;
    EXPECT_TRUE(at::equal(limited.seen[i].statistics.hessian, found)) << cpu.seen[i].where;
    EXPECT_TRUE(at::equal(limited.seen[i].drift.output, resident.seen[i].drift.output));
    EXPECT_TRUE(at::equal(limited.seen[i].held_out_statistics.hessian,
                          resident.seen[i].held_out_statistics.hessian));
  }
}

}  // namespace
}  // namespace frugal::layerwise
