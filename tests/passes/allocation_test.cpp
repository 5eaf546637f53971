#include "passes/quantize/allocation.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "allocation_reference.h"
#include "base/random.h"
#include "passes/quantize/swaps.h"
#include "support/shared_data.h"

namespace frugal::passes {
namespace {

// Costs that fall with bytes mostly, as those of grids do; bytes are multiples of `unit`.
std::vector<AllocationItem> random_items(base::RandomStream& stream, size_t count, int64_t unit) {
  std::vector<AllocationItem> items;
  for (size_t i = 0; i < count; ++i) {
    AllocationItem item;
    int64_t bytes = unit * static_cast<int64_t>(1 + stream.below(20));
    double cost = 1 + 9 * stream.uniform();
    const size_t candidates = 1 + stream.below(5);
    for (size_t c = 0; c < candidates; ++c) {
      item.bytes.push_back(bytes);
      item.costs.push_back(cost);
      bytes += unit * static_cast<int64_t>(stream.below(20));
      cost *= stream.uniform() * 1.2;
    }
    items.push_back(item);
  }
  return items;
}

// Calls body with every choice.
template <typename Body>
void for_every_choice(const std::vector<AllocationItem>& items, const Body& body) {
  std::vector<size_t> choice(items.size(), 0);
  while (true) {
    body(total(items, choice));
    size_t i = 0;
    while (i < items.size() && ++choice[i] == items[i].bytes.size()) choice[i++] = 0;
    if (i == items.size()) return;
  }
}

double least_cost(const std::vector<AllocationItem>& items, int64_t budget) {
  double best = std::numeric_limits<double>::infinity();
  for_every_choice(items, [&](const Allocation& allocation) {
    if (allocation.bytes <= budget) best = std::min(best, allocation.cost);
  });
  return best;
}

std::pair<int64_t, int64_t> range(const std::vector<AllocationItem>& items) {
  int64_t smallest = 0, largest = 0;
  for (const AllocationItem& item : items) {
    smallest += item.bytes.front();
    largest += item.bytes.back();
  }
  return {smallest, largest};
}

TEST(Allocation, IsTheBestOfAllChoices) {
  base::RandomStream stream(1, "allocation");
  for (int round = 0; round < 200; ++round) {
    const auto unit = static_cast<int64_t>(1 + stream.below(300));
    const std::vector<AllocationItem> items = random_items(stream, 1 + stream.below(6), unit);
    const auto [smallest, largest] = range(items);
    const int64_t budget =
        smallest +
        static_cast<int64_t>(stream.below(static_cast<uint64_t>(largest - smallest + 9)));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation found, allocate(items, budget));
    EXPECT_LE(found.bytes, budget);
    EXPECT_NEAR(found.cost, least_cost(items, budget), 1e-12);
    EXPECT_EQ(total(items, found.choice).bytes, found.bytes);
  }
}

// Rounded up, a choice takes less than a unit per item more: what fits a budget smaller by that
// still counts.
TEST(Allocation, CoarseUnitsKeepTheirBound) {
  base::RandomStream stream(2, "coarse");
  for (int round = 0; round < 200; ++round) {
    const std::vector<AllocationItem> items = random_items(stream, 2 + stream.below(5), 7);
    const auto [smallest, largest] = range(items);
    constexpr int64_t kUnits = 10;
    const int64_t unit = std::max<int64_t>(7, (largest - smallest + kUnits - 1) / kUnits);
    const int64_t budget =
        smallest +
        static_cast<int64_t>(stream.below(static_cast<uint64_t>(largest - smallest + 9)));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation found, allocate(items, budget, kUnits));
    EXPECT_LE(found.bytes, budget);
    const int64_t smaller = budget - static_cast<int64_t>(items.size()) * unit;
    if (smaller >= smallest) {
      EXPECT_LE(found.cost, least_cost(items, smaller) + 1e-12);
    }
    EXPECT_GE(found.cost, least_cost(items, budget) - 1e-12);
  }
}

TEST(Allocation, MoreBytesNeverCostMore) {
  base::RandomStream stream(3, "monotone");
  const std::vector<AllocationItem> items = random_items(stream, 12, 5);
  const auto [smallest, largest] = range(items);
  for (const int64_t units : {int64_t{1} << 17, int64_t{25}}) {
    double before = std::numeric_limits<double>::infinity();
    for (int64_t budget = smallest; budget <= largest + 3; ++budget) {
      FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation found, allocate(items, budget, units));
      EXPECT_LE(found.bytes, budget);
      EXPECT_LE(found.cost, before + 1e-12);
      before = found.cost;
    }
    // A budget for the largest choice of all leaves the best of each.
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation all, allocate(items, 10 * largest, units));
    double best = 0;
    for (const AllocationItem& item : items)
      best += *std::min_element(item.costs.begin(), item.costs.end());
    EXPECT_NEAR(all.cost, best, 1e-12);
  }
}

TEST(Allocation, RefusesWhatItCannotDo) {
  const std::vector<AllocationItem> items = {{{10, 20}, {2.0, 1.0}}};
  FRUGAL_EXPECT_ERROR(allocate(items, 9), absl::StatusCode::kInvalidArgument,
                      "smallest choice takes 10");
  FRUGAL_EXPECT_ERROR(allocate({{{20, 10}, {2.0, 1.0}}}, 30), absl::StatusCode::kInternal,
                      "ascending");
  FRUGAL_EXPECT_ERROR(allocate({{{10}, {std::nan("")}}}, 30), absl::StatusCode::kInternal,
                      "finite");
}

TEST(Allocation, EqualsItsDefinition) {
  base::RandomStream stream(5, "definition");
  for (int round = 0; round < 60; ++round) {
    // Enough items for several blocks; ties in costs and bytes among them.
    std::vector<AllocationItem> items = random_items(stream, 1 + stream.below(70), 3);
    for (AllocationItem& item : items) {
      if (stream.below(4) == 0) item = items[0];
    }
    const auto [smallest, largest] = range(items);
    const int64_t budget =
        smallest +
        static_cast<int64_t>(stream.below(static_cast<uint64_t>(largest - smallest + 9)));
    const int64_t units = stream.below(2) == 0 ? int64_t{1} << 17 : 50;
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation found, allocate(items, budget, units));
    EXPECT_EQ(found.choice, reference::allocate(items, budget, units).choice) << round;
  }
}

TEST(Swaps, EqualTheirDefinition) {
  base::RandomStream stream(6, "swaps by definition");
  int64_t kept = 0;
  const int threads = at::get_num_threads();
  for (int round = 0; round < 60; ++round) {
    std::vector<AllocationItem> items = random_items(stream, 2 + stream.below(14), 3);
    for (AllocationItem& item : items) {
      if (stream.below(3) == 0) item = items[0];
    }
    const auto [smallest, largest] = range(items);
    const int64_t budget =
        smallest +
        static_cast<int64_t>(stream.below(static_cast<uint64_t>(largest - smallest + 9)));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation start, allocate(items, budget));
    // True costs are off by a factor each; what was measured, in order.
    std::vector<double> factors;
    for (size_t i = 0; i < items.size(); ++i) factors.push_back(std::exp(stream.normal()));
    const auto run = [&](const auto& improver, std::vector<std::vector<size_t>>& measured) {
      return improver(items, start, budget,
                      SwapOptions{.tries = 1 + static_cast<int64_t>(round % 12)},
                      [&](const std::vector<size_t>& choice) -> absl::StatusOr<double> {
                        measured.push_back(choice);
                        double sum = 0;
                        for (size_t i = 0; i < items.size(); ++i)
                          sum += factors[i] * items[i].costs[choice[i]];
                        return sum;
                      });
    };
    std::vector<std::vector<size_t>> measured, expected_measured;
    at::set_num_threads(1 + round % 3);  // which threads list them changes nothing
    FRUGAL_ASSERT_OK_AND_ASSIGN(const SwapResult found, run(improve, measured));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const SwapResult expected,
                                run(reference::improve, expected_measured));
    EXPECT_EQ(measured, expected_measured) << round;
    EXPECT_EQ(found.allocation.choice, expected.allocation.choice) << round;
    EXPECT_EQ(found.after, expected.after) << round;
    kept += found.kept;
  }
  at::set_num_threads(threads);
  EXPECT_GT(kept, 0);  // some swaps were worth keeping: the lists were made more than once
}

// A measurement that knows true costs, of which the predictions are off by a factor each.
class Swapping : public testing::Test {
 protected:
  void SetUp() override {
    base::RandomStream stream(4, "swaps");
    for (int i = 0; i < 7; ++i) {
      AllocationItem item{.bytes = {20, 30, 40, 60}};
      const double scale = std::exp(stream.normal()), factor = std::exp(0.5 * stream.normal());
      for (const int64_t bytes : item.bytes)
        item.costs.push_back(scale * std::exp2(-static_cast<double>(bytes) / 5));
      predicted_.push_back(item);
      for (double& cost : item.costs) cost *= factor;
      true_.push_back(item);
    }
  }
  Measure measure() {
    return [this](const std::vector<size_t>& choice) -> absl::StatusOr<double> {
      EXPECT_TRUE(measured_.insert(choice).second) << "measured twice";
      EXPECT_LE(total(true_, choice).bytes, kBudget);
      return total(true_, choice).cost;
    };
  }
  static constexpr int64_t kBudget = 230;
  std::vector<AllocationItem> predicted_, true_;
  std::set<std::vector<size_t>> measured_;
};

TEST_F(Swapping, ComesNearTheBestThatPredictionsMissed) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation start, allocate(predicted_, kBudget));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation best, allocate(true_, kBudget));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const SwapResult result,
                              improve(predicted_, start, kBudget, {.tries = 60}, measure()));
  EXPECT_DOUBLE_EQ(result.before, total(true_, start.choice).cost);
  EXPECT_DOUBLE_EQ(result.after, total(true_, result.allocation.choice).cost);
  EXPECT_GT(result.before, 1.02 * best.cost) << "predictions are too good for this test";
  EXPECT_GT(result.kept, 0);
  // At least half of what could be won.
  EXPECT_LT(result.after - best.cost, 0.5 * (result.before - best.cost));
  EXPECT_EQ(static_cast<int64_t>(measured_.size()), result.tried + 1);
}

TEST_F(Swapping, TriesAreCountedAndNoneLeavesItAsItWas) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Allocation start, allocate(predicted_, kBudget));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const SwapResult none,
                              improve(predicted_, start, kBudget, {.tries = 0}, measure()));
  EXPECT_EQ(none.allocation.choice, start.choice);
  EXPECT_EQ(none.before, none.after);
  measured_.clear();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const SwapResult few,
                              improve(predicted_, start, kBudget, {.tries = 5}, measure()));
  EXPECT_EQ(few.tried, 5);
  measured_.clear();
  FRUGAL_ASSERT_OK_AND_ASSIGN(const SwapResult again,
                              improve(predicted_, start, kBudget, {.tries = 5}, measure()));
  EXPECT_EQ(again.allocation.choice, few.allocation.choice);
  FRUGAL_EXPECT_ERROR(improve(predicted_, start, kBudget, {.tries = 5},
                              [](const auto&) { return base::failed("no measure"); }),
                      absl::StatusCode::kFailedPrecondition, "no measure");
}

}  // namespace
}  // namespace frugal::passes
