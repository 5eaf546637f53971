#include "layerwise/pruning/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "support/random_tensors.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

double total(const at::Tensor& cost, const std::vector<int64_t>& columns) {
  double sum = 0;
  for (size_t row = 0; row < columns.size(); ++row)
    sum += cost[static_cast<int64_t>(row)][columns[row]].item<double>();
  return sum;
}

double least_by_brute_force(const at::Tensor& cost) {
  std::vector<int64_t> columns(static_cast<size_t>(cost.size(0)));
  std::iota(columns.begin(), columns.end(), 0);
  double least = std::numeric_limits<double>::infinity();
  do {
    least = std::min(least, total(cost, columns));
  } while (std::next_permutation(columns.begin(), columns.end()));
  return least;
}

TEST(Assignment, IsTheLeastOfAllPermutations) {
  for (int64_t n = 1; n <= 6; ++n) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const at::Tensor cost = random_matrix(seed, "cost", n, n).to(at::kDouble);
      const std::vector<int64_t> found = least_cost_assignment(cost);
      std::vector<int64_t> sorted = found;
      std::sort(sorted.begin(), sorted.end());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(sorted[static_cast<size_t>(i)], i);
      EXPECT_NEAR(total(cost, found), least_by_brute_force(cost), 1e-12 * n) << n << " " << seed;
    }
  }
}

TEST(Assignment, TiesAndEqualCosts) {
  const at::Tensor equal = at::ones({5, 5}, at::kDouble);
  EXPECT_EQ(total(equal, least_cost_assignment(equal)), 5.0);
  const at::Tensor whole = random_matrix(1, "whole", 6, 6).mul(2).round().to(at::kDouble);
  EXPECT_EQ(total(whole, least_cost_assignment(whole)), least_by_brute_force(whole));
}

TEST(Assignment, FindsAPermutationAmongMany) {
  constexpr int64_t kSize = 80;
  const at::Tensor rows = random_matrix(3, "rows", kSize, 9);
  std::vector<int64_t> order(kSize);
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin(), order.begin() + 31, order.end());
  std::reverse(order.begin() + 10, order.begin() + 50);
  const at::Tensor shuffled = rows.index_select(0, at::tensor(order, at::kLong));
  const at::Tensor cost = at::mm(shuffled.to(at::kDouble), rows.to(at::kDouble).t()).neg();
  EXPECT_EQ(least_cost_assignment(cost), order);
}

TEST(Assignment, RefusesWhatIsNoCost) {
  EXPECT_THROW(least_cost_assignment(at::zeros({2, 3}, at::kDouble)), c10::Error);
  at::Tensor bad = at::zeros({2, 2}, at::kDouble);
  bad[0][1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(least_cost_assignment(bad), c10::Error);
}

}  // namespace
}  // namespace frugal::layerwise
