#include "layerwise/walk/durable_solver.h"

#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

// Doubles every weight, and stores what it made of each matrix.
class Doubler final : public DurableSolver {
 public:
  using DurableSolver::DurableSolver;
  Needs needs(const architecture::StageRef&) const override { return Needs::kNothing; }
  DriftForm drift_form() const override { return DriftForm::kNone; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& problem) override {
    const at::Tensor doubled = 2 * problem.weights;
    keep(problem.names.front(), doubled);
    MatrixRecord record;
    record.set_stage(problem.at);
    record.matrix = problem.names.front();
    record.tokens = problem.statistics.tokens;
    keep(std::move(record));
    return doubled;
  }
  absl::StatusOr<at::Tensor> restore(const StageProblem& problem) override {
    return stored().tensor(problem.names.front(), problem.weights.sizes().vec());
  }
};

StageProblem problem_of(int64_t layer, const std::string& name) {
  StageProblem problem;
  problem.at.layer = layer;
  problem.names = {name};
  problem.row_counts = {2};
  problem.weights = at::arange(6, at::kFloat).view({2, 3});
  return problem;
}

TEST(DurableSolver, AnotherSolverRestoresWhatWasStored) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  const StageProblem problem = problem_of(0, "a.weight");
  at::Tensor solved;
  {
    Doubler solver(store);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const bool before, solver.has_stored(0));
    EXPECT_FALSE(before);
    FRUGAL_ASSERT_OK_AND_ASSIGN(solved, solver.solve(problem));
    FRUGAL_ASSERT_OK(solver.store_layer(0));
  }
  Doubler solver(store);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const bool after, solver.has_stored(0));
  ASSERT_TRUE(after);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const at::Tensor restored, solver.restore(problem));
  EXPECT_TRUE(at::equal(restored, solved));
}

TEST(DurableSolver, ALayerHoldsItsOwnMatricesAndRecordsOnly) {
  test::TemporaryFolder folder;
  const LayerStore store(folder.path(), "stamp");
  Doubler solver(store);
  FRUGAL_ASSERT_OK(solver.solve(problem_of(0, "a.weight")).status());
  FRUGAL_ASSERT_OK(solver.solve(problem_of(0, "b.weight")).status());
  FRUGAL_ASSERT_OK(solver.store_layer(0));
  FRUGAL_ASSERT_OK(solver.solve(problem_of(1, "c.weight")).status());
  FRUGAL_ASSERT_OK(solver.store_layer(1));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto second, store.require(1));
  EXPECT_FALSE(second.has("a.weight"));
  EXPECT_TRUE(second.has("c.weight"));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const auto records, stored_records(store, {1, 0}));
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].matrix, "c.weight");
  EXPECT_EQ(records[1].matrix, "a.weight");
  FRUGAL_EXPECT_ERROR(stored_records(store, {0, 2}), absl::StatusCode::kInternal, "layer 2");
}

}  // namespace
}  // namespace frugal::layerwise
