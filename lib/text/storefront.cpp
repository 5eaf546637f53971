#include "text/storefront.h"

#include <array>
#include <charconv>

#include "absl/container/flat_hash_set.h"
#include "base/hash.h"
#include "base/random.h"
#include "text/storefront/plan.h"

namespace frugal::text {
namespace {

// A split holds the plans whose hash, modulo 100, lies in [begin, end).
struct Split {
  std::string_view name;
  uint64_t begin;
  uint64_t end;
  int64_t default_limit;
};
constexpr std::array kSplits = {Split{"train", 0, 75, 20000}, Split{"calibration", 75, 80, 512},
                                Split{"validation", 80, 88, 500}, Split{"test", 88, 100, 1000}};

const Split* find_split(std::string_view name) {
  for (const Split& split : kSplits) {
    if (split.name == name) return &split;
  }
  return nullptr;
}

bool belongs(std::string_view plan, const Split& split) {
  const std::string hex = base::xxh3_128(plan).substr(0, 15);
  uint64_t value = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  return value % 100 >= split.begin && value % 100 < split.end;
}

// Draws examples of one task, each text once.
class Source {
 public:
  Source(std::string task, const Split& split, uint64_t seed)
      : task_(std::move(task)),
        split_(split),
        random_(seed, base::str_cat("storefront/", task_, "/", split.name)) {}

  absl::StatusOr<Example> next() {
    constexpr int kMaxDraws = 100000;  // in a row without a new text of this split
    for (int i = 0; i < kMaxDraws; ++i) {
      storefront::Drawn drawn = task_ == "sentiment"
                                    ? storefront::draw_review(count_ % 2 == 0, random_)
                                    : storefront::draw_description(random_);
      if (!belongs(drawn.plan, split_) || !seen_.insert(drawn.example.prompt).second) continue;
      drawn.example.id = base::str_cat("storefront/", task_, "/", split_.name, "/", count_++);
      return std::move(drawn.example);
    }
    return base::invalid_argument("storefront: the ", split_.name, " split of the ", task_,
                                  " task is exhausted after ", count_, " examples; ask for fewer");
  }

 private:
  std::string task_;
  const Split& split_;
  base::RandomStream random_;
  absl::flat_hash_set<std::string> seen_;
  int64_t count_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<Example>> storefront_examples(const StorefrontOptions& options) {
  const Split* split = find_split(options.split);
  if (split == nullptr) {
    const std::vector<std::string> names = {"train", "calibration", "validation", "test"};
    return base::invalid_argument("storefront: unknown split '", options.split, "'",
                                  base::suggestion(options.split, names));
  }
  const std::vector<std::string> tasks = {"sentiment", "description"};
  std::vector<Source> sources;
  for (const std::string& task : tasks) {
    if (options.task.empty() || options.task == task)
      sources.emplace_back(task, *split, options.seed);
  }
  if (sources.empty()) {
    return base::invalid_argument("storefront: unknown task '", options.task, "'",
                                  base::suggestion(options.task, tasks));
  }
  if (options.limit < 0)
    return base::invalid_argument("storefront: limit ", options.limit, " is negative");
  const int64_t limit = options.limit == 0 ? split->default_limit : options.limit;
  std::vector<Example> examples;
  for (int64_t i = 0; i < limit; ++i) {
    // Mixed: three reviews to a description. A review teaches by one word, its label, a description
    // by thirty.
    const size_t source = sources.size() == 2 && i % 4 == 3 ? 1 : 0;
    FRUGAL_ASSIGN_OR_RETURN(Example example, sources[source].next());
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace frugal::text
