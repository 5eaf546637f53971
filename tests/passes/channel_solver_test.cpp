#include "passes/prune/channel_solver.h"

#include <gmock/gmock.h>

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using namespace frugal::test;
using architecture::StreamUse;
using layerwise::StageProblem;

// A stream of 6 channels that loses 1 and 4; "reader" reads it, "writer" writes it.
constexpr int64_t kChannels = 6;
const std::vector<int64_t> kKept = {0, 2, 3, 5}, kRemoved = {1, 4};

ChannelOptions some_options() {
  ChannelOptions options;
  options.kept = kKept;
  options.removed = kRemoved;
  options.uses = {
      {"reader", StreamUse::kReads}, {"other", StreamUse::kReads}, {"writer", StreamUse::kWrites}};
  options.factor.damping = 0.01;
  return options;
}

StageProblem problem_of(std::vector<std::string> names, std::vector<int64_t> rows,
                        int64_t columns) {
  StageProblem problem;
  problem.names = std::move(names);
  problem.row_counts = std::move(rows);
  int64_t all = 0;
  for (const int64_t count : problem.row_counts) all += count;
  problem.weights = random_matrix(1, problem.names.front(), all, columns);
  problem.statistics.tokens = 10;
  const at::Tensor x = random_inputs(2, 40, columns).to(at::kDouble);
  problem.statistics.hessian = at::mm(x.t(), x) / 40;
  problem.statistics.mean_square = problem.statistics.hessian.diagonal().clone();
  problem.drift.output = at::zeros({all, columns}, at::kDouble);
  return problem;
}

at::Tensor with_zeros(const at::Tensor& weights, int64_t dimension) {
  return weights.index_fill(dimension, at::tensor(kRemoved, at::kLong), 0);
}

class ChannelSolverTest : public testing::Test {
 protected:
  std::vector<layerwise::MatrixRecord> records() const {
    return layerwise::stored_records(store_, {0}).value();
  }
  TemporaryFolder folder_;
  layerwise::LayerStore store_{folder_.path(), "stamp"};
};

// Nothing has drifted: what is left is what was there.
TEST_F(ChannelSolverTest, WithoutDriftChannelsAreCutAndTheRestStays) {
  for (const bool writes : {false, true}) {
    ChannelSolver solver(some_options(), store_);
    EXPECT_EQ(solver.needs({0, 0}), layerwise::Needs::kHessian);
    EXPECT_EQ(solver.drift_form(), layerwise::DriftForm::kOutputs);
    StageProblem problem = writes ? problem_of({"writer"}, {kChannels}, 5)
                                  : problem_of({"reader", "other"}, {3, 2}, kChannels);
    problem.writes_residual = writes;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor solved, solver.solve(problem));
    EXPECT_TRUE(at::equal(solved, with_zeros(problem.weights, writes ? 0 : 1)));
  }
}

// α (W (X̃ - X)ᵀX / T) (H + λI)⁻¹ is added, and the drift of the stream by β: half of each.
TEST_F(ChannelSolverTest, DriftIsMadeUpForByItsStrength) {
  ChannelOptions options = some_options();
  options.factor.damping = 1e-12;
  options.drift_strength = {0.5, 0.5};
  StageProblem problem = problem_of({"writer"}, {kChannels}, 5);
  problem.writes_residual = true;
  const at::Tensor& h = problem.statistics.hessian;
  const at::Tensor moved = random_matrix(3, "moved", kChannels, 5).to(at::kDouble);
  const at::Tensor stream = random_matrix(3, "stream", kChannels, 5).to(at::kDouble);
  problem.drift.output = at::mm(moved, h);
  problem.drift.residual = at::mm(stream, h);
  ChannelSolver solver(std::move(options), store_);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor solved, solver.solve(problem));
  const at::Tensor expected = with_zeros(problem.weights + 0.5 * (moved + stream), 0);
  // Stored as fp32; damping of 1e-12 of the diagonal, times the condition of H (some 1e3).
  EXPECT_TRUE(at::allclose(solved.to(at::kDouble), expected, 1e-6, 1e-6));
}

TEST_F(ChannelSolverTest, AnInterruptedWalkGoesOnWithWhatWasStored) {
  ChannelOptions options = some_options();
  options.stored_type = at::kBFloat16;
  const StageProblem readers = problem_of({"reader", "other"}, {3, 2}, kChannels);
  StageProblem writer = problem_of({"writer"}, {kChannels}, 5);
  writer.at.stage = 1;
  at::Tensor solved_readers, solved_writer;
  {
    ChannelSolver solver(options, store_);
    solved_readers = solver.solve(readers).value();
    solved_writer = solver.solve(writer).value();
    FRUGAL_ASSERT_OK(solver.store_layer(0));
  }
  // The walk goes on with what will be stored.
  EXPECT_TRUE(
      at::equal(solved_readers, with_zeros(readers.weights, 1).to(at::kBFloat16).to(at::kFloat)));
  ChannelSolver again(options, store_);
  ASSERT_TRUE(again.has_stored(0).value());
  EXPECT_FALSE(again.has_stored(1).value());
  ASSERT_TRUE(again.has_stored(0).value());
  EXPECT_TRUE(at::equal(again.restore(readers).value(), solved_readers));
  EXPECT_TRUE(at::equal(again.restore(writer).value(), solved_writer));
  // Stored without the channels that are gone.
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto layer, store_.require(0));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor narrow, layer.tensor("other", {2, 4}));
  EXPECT_TRUE(at::equal(
      narrow, solved_readers.narrow(0, 3, 2).index_select(1, at::tensor(kKept, at::kLong))));
  FRUGAL_EXPECT_OK(layer.tensor("writer", {4, 5}));
}

TEST_F(ChannelSolverTest, AStageIsRecordedOnce) {
  ChannelSolver solver(some_options(), store_);
  StageProblem problem = problem_of({"reader", "other"}, {3, 2}, kChannels);
  problem.statistics.hessian[2].zero_();  // an input that was always zero
  problem.statistics.hessian.select(1, 2).zero_();
  FRUGAL_ASSERT_OK(solver.solve(problem));
  FRUGAL_ASSERT_OK(solver.store_layer(0));
  const auto found = records();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].matrix, "reader");
  EXPECT_EQ(found[0].structures, "channels");
  EXPECT_EQ(found[0].count, kChannels);
  EXPECT_EQ(found[0].kept, 4);
  EXPECT_EQ(found[0].dead_columns, 1);
  EXPECT_EQ(found[0].tokens, 10);
  EXPECT_EQ(found[0].correction, 0.0);  // nothing has drifted
}

TEST_F(ChannelSolverTest, TooFewTokensStopTheJob) {
  ChannelOptions options = some_options();
  options.min_tokens = 11;
  ChannelSolver solver(std::move(options), store_);
  FRUGAL_EXPECT_ERROR(solver.solve(problem_of({"reader"}, {3}, kChannels)),
                      absl::StatusCode::kFailedPrecondition,
                      "reader: saw 10 calibration tokens, min_tokens is 11");
}

}  // namespace
}  // namespace frugal::passes
