// Tested by: tests/passes/allocation_test.cpp
#include "passes/quantize/swaps.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <numbers>
#include <optional>
#include <set>
#include <utility>

namespace frugal::passes {
namespace {

using Choice = std::vector<size_t>;

// E[max(0, gain)] of a normal gain.
double expected_improvement(double gain, double deviation) {
  if (deviation <= 0) return std::max(gain, 0.0);
  const double z = gain / deviation;
  const double density = std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi);
  const double below = 0.5 * std::erfc(-z / std::numbers::sqrt2);
  return gain * below + deviation * density;
}

// Items that a swap put on another candidate, and which: ascending items.
using Difference = std::vector<std::pair<size_t, size_t>>;

// A swap by the negative of the gain that is to be expected of it; of equal ones the choice that is
// smaller in lexicographic order, as whole choices compare.
struct Ranked {
  double key;
  Difference difference;
};
class ByKey {
 public:
  explicit ByKey(const Choice& from) : from_(&from) {}
  bool operator()(const Ranked& a, const Ranked& b) const {
    if (a.key != b.key) return a.key < b.key;
    auto x = a.difference.begin(), y = b.difference.begin();
    while (x != a.difference.end() || y != b.difference.end()) {
      const bool x_first =
          y == b.difference.end() || (x != a.difference.end() && x->first <= y->first);
      const size_t item = x_first ? x->first : y->first;
      const bool y_too = y != b.difference.end() && y->first == item;
      const size_t of_a = x_first ? x->second : (*from_)[item];
      const size_t of_b = y_too ? y->second : (*from_)[item];
      if (of_a != of_b) return of_a < of_b;
      if (x_first) ++x;
      if (y_too) ++y;
    }
    return false;
  }

 private:
  const Choice* from_;
};

// Numbers in a fixed order, asked for the first one from a place on that is not above a bound.
class FirstFit {
 public:
  explicit FirstFit(const std::vector<int64_t>& values) : count_(values.size()) {
    while (size_ < count_) size_ *= 2;
    least_.assign(2 * size_, std::numeric_limits<int64_t>::max());
    std::copy(values.begin(), values.end(), least_.begin() + static_cast<std::ptrdiff_t>(size_));
    for (size_t i = size_; i-- > 1;) least_[i] = std::min(least_[2 * i], least_[2 * i + 1]);
  }
  // Its index; the number of values where there is none.
  size_t find(size_t begin, int64_t bound) const {
    if (begin >= count_) return count_;
    size_t node = begin + size_;
    while (least_[node] > bound) {
      while ((node & 1) != 0) node >>= 1;  // right children lead up
      if (node == 0) return count_;        // the whole rest was looked at
      ++node;
    }
    while (node < size_) node = least_[2 * node] <= bound ? 2 * node : 2 * node + 1;
    return std::min(node - size_, count_);
  }

 private:
  size_t count_;
  size_t size_ = 1;
  std::vector<int64_t> least_;  // a binary tree of minima, values as leaves
};

// Choices that were measured, by a sum of random numbers of their candidates: a choice that differs
// little from another is looked up without comparing the two.
class Seen {
 public:
  static uint64_t number(size_t item, size_t candidate) {
    uint64_t x = (static_cast<uint64_t>(item) << 8 | candidate) + 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;  // splitmix64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
  }
  static uint64_t sum(const Choice& choice) {
    uint64_t sum = 0;
    for (size_t i = 0; i < choice.size(); ++i) sum += number(i, choice[i]);
    return sum;
  }
  void insert(const Choice& choice) { choices_[sum(choice)].push_back(choice); }
  bool contains(uint64_t sum, const Choice& choice) const {
    const auto found = choices_.find(sum);
    return found != choices_.end() &&
           std::find(found->second.begin(), found->second.end(), choice) != found->second.end();
  }

 private:
  std::map<uint64_t, std::vector<Choice>> choices_;
};

using RankedSwaps = std::set<Ranked, ByKey>;  // the most promising, best first

// One allocation, and what all of its swaps ask for: each changes few items, and the steps of all
// others lie in two lists that are sorted once.
class StartingPoint {
 public:
  struct Step {
    double slope;
    size_t item;
  };

  StartingPoint(const std::vector<AllocationItem>& items, const Allocation& from, int64_t budget,
                double relative_error)
      : items(items),
        choice(from.choice),
        budget(budget),
        relative_error(relative_error),
        bytes(total(items, from.choice).bytes),
        sum(Seen::sum(from.choice)),
        downs(sorted_downs()),
        ups(sorted_ups()),
        up_bytes(bytes_of(ups)) {}

  // Cost of going down from candidate `lower` + 1 to `lower`, per byte.
  double loss_per_byte(size_t item, size_t lower) const {
    const AllocationItem& it = items[item];
    return (it.costs[lower] - it.costs[lower + 1]) /
           std::max(static_cast<double>(step_bytes(item, lower)), 1.0);
  }
  int64_t step_bytes(size_t item, size_t lower) const {
    return items[item].bytes[lower + 1] - items[item].bytes[lower];
  }

  const std::vector<AllocationItem>& items;
  const Choice& choice;
  const int64_t budget;
  const double relative_error;
  const int64_t bytes;
  const uint64_t sum;
  const std::vector<Step> downs;  // what each item's step down loses, least first
  const std::vector<Step> ups;    // what each item's step up gains, most first, where it gains
  const FirstFit up_bytes;        // of `ups`

 private:
  std::vector<Step> sorted_downs() const {
    std::vector<Step> steps;
    for (size_t i = 0; i < items.size(); ++i) {
      if (choice[i] > 0) steps.push_back({loss_per_byte(i, choice[i] - 1), i});
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.slope < b.slope; });
    return steps;
  }
  std::vector<Step> sorted_ups() const {
    std::vector<Step> steps;
    for (size_t i = 0; i < items.size(); ++i) {
      if (choice[i] + 1 >= items[i].bytes.size()) continue;
      if (const double slope = loss_per_byte(i, choice[i]); slope > 0) steps.push_back({slope, i});
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.slope > b.slope; });
    return steps;
  }
  FirstFit bytes_of(const std::vector<Step>& steps) const {
    std::vector<int64_t> sizes;
    for (const Step& step : steps) sizes.push_back(step_bytes(step.item, choice[step.item]));
    return FirstFit(sizes);
  }
};

// Goes through swaps of one allocation, one at a time. Of one thread.
class SwapRanker {
 public:
  using Step = StartingPoint::Step;

  SwapRanker(const StartingPoint& from, size_t limit, const Seen& seen)
      : from_(from),
        items_(from.items),
        limit_(limit),
        seen_(seen),
        choice_(from.choice),
        is_changed_(from.items.size(), 0),
        ranked_(ByKey(from.choice)) {}

  // Ranks every swap that puts `up` on its next larger candidate.
  void rank_all(size_t up) {
    if (from_.choice[up] + 1 >= items_[up].bytes.size()) return;
    rank(up, std::nullopt);
    for (size_t down = 0; down < items_.size(); ++down) {
      if (down != up && from_.choice[down] > 0) rank(up, down);
    }
  }
  // The `limit` most promising that are not in `seen`.
  RankedSwaps& ranked() { return ranked_; }

 private:
  void put(size_t item, size_t candidate) {
    bytes_ += items_[item].bytes[candidate] - items_[item].bytes[choice_[item]];
    sum_ += Seen::number(item, candidate) - Seen::number(item, choice_[item]);
    choice_[item] = candidate;
    if (is_changed_[item] != 0) return;
    is_changed_[item] = 1;
    changed_.push_back(item);
  }

  // Takes a step from whatever loses least per byte until the choice fits.
  void make_room(size_t up) {
    size_t next = 0;  // of the items as they were
    while (bytes_ > from_.budget) {
      while (next < from_.downs.size() && is_changed_[from_.downs[next].item] != 0) ++next;
      std::optional<Step> best;
      if (next < from_.downs.size()) best = from_.downs[next];
      for (const size_t item : changed_) {
        if (item == up || choice_[item] == 0) continue;
        const double slope = from_.loss_per_byte(item, choice_[item] - 1);
        if (!best || slope < best->slope || (slope == best->slope && item < best->item))
          best = Step{slope, item};
      }
      if (!best) return;
      put(best->item, choice_[best->item] - 1);
    }
  }

  // Gives what is left to the steps that gain most per byte.
  void fill() {
    while (true) {
      const int64_t left = from_.budget - bytes_;
      size_t next = from_.up_bytes.find(0, left);
      while (next < from_.ups.size() && is_changed_[from_.ups[next].item] != 0)
        next = from_.up_bytes.find(next + 1, left);
      std::optional<Step> best;
      if (next < from_.ups.size()) best = from_.ups[next];
      for (const size_t item : changed_) {
        if (choice_[item] + 1 >= items_[item].bytes.size()) continue;
        if (from_.step_bytes(item, choice_[item]) > left) continue;
        const double slope = from_.loss_per_byte(item, choice_[item]);
        if (slope <= 0) continue;
        if (!best || slope > best->slope || (slope == best->slope && item < best->item))
          best = Step{slope, item};
      }
      if (!best) return;
      put(best->item, choice_[best->item] + 1);
    }
  }

  // Ranks the swap of `up` against `down` once it is made to fit, where it can be.
  void rank(size_t up, std::optional<size_t> down) {
    bytes_ = from_.bytes;
    sum_ = from_.sum;
    put(up, from_.choice[up] + 1);
    if (down) put(*down, from_.choice[*down] - 1);
    make_room(up);
    if (bytes_ <= from_.budget) {
      fill();
      if (!seen_.contains(sum_, choice_)) keep();
    }
    for (const size_t item : changed_) {
      choice_[item] = from_.choice[item];
      is_changed_[item] = 0;
    }
    changed_.clear();
  }

  void keep() {
    std::sort(changed_.begin(), changed_.end());
    double gain = 0, squares = 0;
    for (const size_t item : changed_) {
      const std::vector<double>& costs = items_[item].costs;
      const double fall = costs[from_.choice[item]] - costs[choice_[item]];
      gain += fall;
      squares += fall * fall;
    }
    const double key = -expected_improvement(gain, from_.relative_error * std::sqrt(squares));
    if (ranked_.size() == limit_ && (limit_ == 0 || key > ranked_.rbegin()->key)) return;
    Ranked swap{key, {}};
    for (const size_t item : changed_) {
      if (choice_[item] != from_.choice[item]) swap.difference.emplace_back(item, choice_[item]);
    }
    ranked_.insert(std::move(swap));
    if (ranked_.size() > limit_) ranked_.erase(std::prev(ranked_.end()));
  }

  const StartingPoint& from_;
  const std::vector<AllocationItem>& items_;
  size_t limit_;
  const Seen& seen_;
  // The swap at hand.
  Choice choice_;
  std::vector<uint8_t> is_changed_;
  std::vector<size_t> changed_;
  int64_t bytes_ = 0;
  uint64_t sum_ = 0;
  RankedSwaps ranked_;
};

// The `limit` most promising choices that are not in `seen`, best first. Threads share the items;
// the order of swaps is total, so that their number changes nothing.
std::vector<Choice> best_swaps(const StartingPoint& from, size_t limit, const Seen& seen) {
  RankedSwaps ranked{ByKey(from.choice)};
  std::mutex mutex;
  const auto count = static_cast<int64_t>(from.items.size());
  const int64_t at_once = std::max<int64_t>(4, count / at::get_num_threads() + 1);
  at::parallel_for(0, count, at_once, [&](int64_t begin, int64_t end) {
    SwapRanker ranker(from, limit, seen);
    for (int64_t up = begin; up < end; ++up) ranker.rank_all(static_cast<size_t>(up));
    const std::lock_guard lock(mutex);
    ranked.merge(ranker.ranked());
  });
  std::vector<Choice> result;
  for (const Ranked& swap : ranked) {
    if (result.size() == limit) break;
    Choice& choice = result.emplace_back(from.choice);
    for (const auto& [item, candidate] : swap.difference) choice[item] = candidate;
  }
  return result;
}

}  // namespace

absl::StatusOr<SwapResult> improve(const std::vector<AllocationItem>& items, Allocation start,
                                   int64_t budget, const SwapOptions& options,
                                   const Measure& measure) {
  SwapResult result;
  result.allocation = std::move(start);
  FRUGAL_ASSIGN_OR_RETURN(result.before, measure(result.allocation.choice));
  result.after = result.before;
  Seen seen;
  seen.insert(result.allocation.choice);
  bool moved = true;
  while (moved && result.tried < options.tries) {
    moved = false;
    const auto left = static_cast<size_t>(options.tries - result.tried);
    const StartingPoint from(items, result.allocation, budget, options.relative_error);
    for (const Choice& choice : best_swaps(from, left, seen)) {
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

}  // namespace frugal::passes
