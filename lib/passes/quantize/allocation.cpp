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

// The choice of least cost within `sums` - 1 units. What every item chose at every sum would take
// gigabytes for thousands of items: costs are kept at the beginning of each block of items (8 bytes
// a sum), and choices (1 byte) of one block at a time, made again from there on the way back.
std::vector<size_t> best_choice(const std::vector<std::vector<Step>>& steps, size_t sums) {
  const size_t count = steps.size();
  const auto block = static_cast<size_t>(
      std::ceil(std::sqrt(static_cast<double>(sizeof(double) * std::max<size_t>(count, 1)))));
  std::vector<double> best(sums, 0.0);
  std::vector<std::vector<double>> starts;
  std::vector<std::vector<uint8_t>> chosen;  // of the block that was gone through last
  const auto go_through = [&](size_t first) {
    chosen.clear();
    for (size_t i = first; i < std::min(first + block, count); ++i)
      chosen.push_back(add_item(steps[i], best));
  };
  for (size_t first = 0; first < count; first += block) {
    starts.push_back(best);
    go_through(first);
  }
  std::vector<size_t> choice(count);
  size_t left = sums - 1;
  for (size_t b = starts.size(); b-- > 0;) {
    if (b + 1 < starts.size()) {
      best = std::move(starts[b]);
      go_through(b * block);
    }
    for (size_t i = std::min((b + 1) * block, count); i-- > b * block;) {
      choice[i] = chosen[i - b * block][left];
      left -= static_cast<size_t>(steps[i][choice[i]].units);
    }
  }
  return choice;
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
  std::vector<std::vector<Step>> steps;
  for (const AllocationItem& item : items) {
    std::vector<Step>& item_steps = steps.emplace_back();
    for (size_t i = 0; i < item.bytes.size(); ++i)
      item_steps.push_back({(item.bytes[i] - item.bytes.front() + unit - 1) / unit, item.costs[i]});
  }
  std::vector<size_t> choice = best_choice(steps, static_cast<size_t>(spare / unit + 1));
  return total(items, std::move(choice));
}

}  // namespace frugal::passes
