#include "passes/quantize/allocation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace frugal::passes {
namespace {

constexpr double kImpossible = std::numeric_limits<double>::infinity();

absl::Status check_items(const std::vector<AllocationItem>& items) {
  for (size_t i = 0; i < items.size(); ++i) {
    const AllocationItem& item = items[i];
    const bool sizes = !item.bytes.empty() && item.bytes.size() == item.costs.size() &&
                       item.bytes.size() <= 256 && item.bytes.front() >= 0 &&
                       std::is_sorted(item.bytes.begin(), item.bytes.end());
    const bool finite = std::all_of(item.costs.begin(), item.costs.end(),
                                    [](double cost) { return std::isfinite(cost); });
    if (sizes && finite) continue;
    return base::internal("allocation: item ", i, " has ", item.bytes.size(), " sizes and ",
                          item.costs.size(),
                          " costs; expected 1 to 256 of each, sizes ascending, costs finite");
  }
  return absl::OkStatus();
}

// Bytes of a unit: every difference to an item's smallest candidate is a multiple of it, or rounds
// up to one.
int64_t unit_bytes(const std::vector<AllocationItem>& items, int64_t max_units) {
  int64_t divisor = 0, span = 0;
  for (const AllocationItem& item : items) {
    span += item.bytes.back() - item.bytes.front();
    for (const int64_t bytes : item.bytes) divisor = std::gcd(divisor, bytes - item.bytes.front());
  }
  return std::max({divisor, (span + max_units - 1) / max_units, int64_t{1}});
}

struct Step {
  int64_t units;  // above the item's smallest candidate
  double cost;
};

// best[u]: the least cost of the items so far within u units; `best` takes one more item, and what
// it chose comes back.
std::vector<uint8_t> add_item(const std::vector<Step>& steps, std::vector<double>& best) {
  std::vector<double> next(best.size(), kImpossible);
  std::vector<uint8_t> chosen(best.size(), 0);
  for (size_t candidate = 0; candidate < steps.size(); ++candidate) {
    const auto [units, cost] = steps[candidate];
    for (auto u = static_cast<size_t>(units); u < best.size(); ++u) {
      const double sum = best[u - static_cast<size_t>(units)] + cost;
      if (!(sum < next[u])) continue;  // of equal costs the smaller candidate
      next[u] = sum;
      chosen[u] = static_cast<uint8_t>(candidate);
    }
  }
  best = std::move(next);
  return chosen;
}

}  // namespace

Allocation total(const std::vector<AllocationItem>& items, std::vector<size_t> choice) {
  Allocation result;
  for (size_t i = 0; i < items.size(); ++i) {
    result.bytes += items[i].bytes[choice[i]];
    result.cost += items[i].costs[choice[i]];
  }
  result.choice = std::move(choice);
  return result;
}

absl::StatusOr<Allocation> allocate(const std::vector<AllocationItem>& items, int64_t budget,
                                    int64_t max_units) {
  FRUGAL_RETURN_IF_ERROR(check_items(items));
  int64_t smallest = 0, largest = 0;
  for (const AllocationItem& item : items) {
    smallest += item.bytes.front();
    largest += item.bytes.back();
  }
  if (budget < smallest) {
    return base::invalid_argument("a budget of ", budget, " bytes; the smallest choice takes ",
                                  smallest);
  }
  const int64_t unit = unit_bytes(items, max_units);
  // Rounding up may cost a unit per item, which must not keep what fits a large budget from it.
  const int64_t rounding = static_cast<int64_t>(items.size()) * unit;
  const int64_t spare = std::min(budget, largest + rounding) - smallest;
  std::vector<double> best(static_cast<size_t>(spare / unit + 1), 0.0);
  std::vector<std::vector<Step>> steps;
  std::vector<std::vector<uint8_t>> chosen;
  for (const AllocationItem& item : items) {
    std::vector<Step>& item_steps = steps.emplace_back();
    for (size_t i = 0; i < item.bytes.size(); ++i)
      item_steps.push_back({(item.bytes[i] - item.bytes.front() + unit - 1) / unit, item.costs[i]});
    chosen.push_back(add_item(item_steps, best));
  }
  std::vector<size_t> choice(items.size());
  size_t left = best.size() - 1;
  for (size_t i = items.size(); i-- > 0;) {
    choice[i] = chosen[i][left];
    left -= static_cast<size_t>(steps[i][choice[i]].units);
  }
  return total(items, std::move(choice));
}

}  // namespace frugal::passes
