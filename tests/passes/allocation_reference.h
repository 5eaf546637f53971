// Allocation and swaps as they are defined, without what makes them fast: the results of
// passes/quantize/allocation.h and swaps.h must equal these to the bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numbers>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "passes/quantize/allocation.h"
#include "passes/quantize/swaps.h"

namespace frugal::passes::reference {

inline constexpr double kImpossible = std::numeric_limits<double>::infinity();

// Bytes of a unit: every difference to an item's smallest candidate is a multiple of it, or rounds
// up to one.
inline int64_t unit_bytes(const std::vector<AllocationItem>& items, int64_t max_units) {
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
inline std::vector<uint8_t> add_item(const std::vector<Step>& steps, std::vector<double>& best) {
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

inline Allocation allocate(const std::vector<AllocationItem>& items, int64_t budget,
                           int64_t max_units) {
  int64_t smallest = 0, largest = 0;
  for (const AllocationItem& item : items) {
    smallest += item.bytes.front();
    largest += item.bytes.back();
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

using Choice = std::vector<size_t>;

// E[max(0, gain)] of a normal gain.
inline double expected_improvement(double gain, double deviation) {
  if (deviation <= 0) return std::max(gain, 0.0);
  const double z = gain / deviation;
  const double density = std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi);
  const double below = 0.5 * std::erfc(-z / std::numbers::sqrt2);
  return gain * below + deviation * density;
}

class Swaps {
 public:
  Swaps(const std::vector<AllocationItem>& items, const Allocation& from, int64_t budget,
        double relative_error)
      : items_(items), from_(from), budget_(budget), relative_error_(relative_error) {}

  // The `limit` most promising choices that are not in `seen`, best first.
  std::vector<Choice> best(size_t limit, const std::set<Choice>& seen) const {
    Ranked ranked;
    for (size_t up = 0; up < items_.size(); ++up) {
      if (from_.choice[up] + 1 >= items_[up].bytes.size()) continue;
      Choice choice = from_.choice;
      ++choice[up];
      add(up, choice, limit, seen, ranked);
      for (size_t down = 0; down < items_.size(); ++down) {
        if (down == up || from_.choice[down] == 0) continue;
        --choice[down];
        add(up, choice, limit, seen, ranked);
        ++choice[down];
      }
    }
    std::vector<Choice> result;
    for (const auto& [loss, choice] : ranked) result.push_back(choice);
    return result;
  }

 private:
  using Ranked = std::set<std::pair<double, Choice>>;  // by the negative of the expected gain

  int64_t bytes(const Choice& choice) const {
    int64_t sum = 0;
    for (size_t i = 0; i < items_.size(); ++i) sum += items_[i].bytes[choice[i]];
    return sum;
  }

  // Takes a step from whatever loses least per byte until the choice fits.
  void make_room(size_t up, Choice& choice) const {
    while (bytes(choice) > budget_) {
      std::optional<size_t> best;
      double least = 0;
      for (size_t i = 0; i < items_.size(); ++i) {
        if (i == up || choice[i] == 0) continue;
        const double slope = loss_per_byte(i, choice[i] - 1);
        if (best && slope >= least) continue;
        best = i;
        least = slope;
      }
      if (!best) return;
      --choice[*best];
    }
  }

  // Gives what is left to the steps that gain most per byte.
  void fill(Choice& choice) const {
    int64_t left = budget_ - bytes(choice);
    while (true) {
      std::optional<size_t> best;
      double most = 0;
      for (size_t i = 0; i < items_.size(); ++i) {
        if (choice[i] + 1 >= items_[i].bytes.size()) continue;
        if (items_[i].bytes[choice[i] + 1] - items_[i].bytes[choice[i]] > left) continue;
        const double slope = loss_per_byte(i, choice[i]);
        if (slope <= most) continue;
        best = i;
        most = slope;
      }
      if (!best) return;
      left -= items_[*best].bytes[choice[*best] + 1] - items_[*best].bytes[choice[*best]];
      ++choice[*best];
    }
  }

  // Cost of going down from candidate `lower` + 1 to `lower`, per byte.
  double loss_per_byte(size_t item, size_t lower) const {
    const AllocationItem& it = items_[item];
    const auto freed = static_cast<double>(it.bytes[lower + 1] - it.bytes[lower]);
    return (it.costs[lower] - it.costs[lower + 1]) / std::max(freed, 1.0);
  }

  // Ranks `choice` once it is made to fit, where it can be.
  void add(size_t up, Choice choice, size_t limit, const std::set<Choice>& seen,
           Ranked& ranked) const {
    make_room(up, choice);
    if (bytes(choice) > budget_) return;
    fill(choice);
    if (seen.contains(choice)) return;
    double gain = 0, squares = 0;
    for (size_t i = 0; i < items_.size(); ++i) {
      const double fall = items_[i].costs[from_.choice[i]] - items_[i].costs[choice[i]];
      gain += fall;
      squares += fall * fall;
    }
    const double expected = expected_improvement(gain, relative_error_ * std::sqrt(squares));
    ranked.emplace(-expected, std::move(choice));
    if (ranked.size() > limit) ranked.erase(std::prev(ranked.end()));
  }

  const std::vector<AllocationItem>& items_;
  const Allocation& from_;
  int64_t budget_;
  double relative_error_;
};

inline absl::StatusOr<SwapResult> improve(const std::vector<AllocationItem>& items,
                                          Allocation start, int64_t budget,
                                          const SwapOptions& options, const Measure& measure) {
  SwapResult result;
  result.allocation = std::move(start);
  FRUGAL_ASSIGN_OR_RETURN(result.before, measure(result.allocation.choice));
  result.after = result.before;
  std::set<Choice> seen{result.allocation.choice};
  bool moved = true;
  while (moved && result.tried < options.tries) {
    moved = false;
    const auto left = static_cast<size_t>(options.tries - result.tried);
    const Swaps swaps(items, result.allocation, budget, options.relative_error);
    for (const Choice& choice : swaps.best(left, seen)) {
      FRUGAL_ASSIGN_OR_RETURN(const double value, measure(choice));
      seen.insert(choice);
      ++result.tried;
      moved = value < result.after;
      if (!moved) continue;
      ++result.kept;
      result.after = value;
      result.allocation = total(items, choice);
      break;  // what is promising from here is another list
    }
  }
  return result;
}

}  // namespace frugal::passes::reference
