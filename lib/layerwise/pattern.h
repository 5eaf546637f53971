// Which weights of a matrix go: patterns of zeros, and masks that meet them exactly.
//
// A mask is uint8 [R, in], 1 = kept. Pattern text: "none"; "50%" or "0.5", a share of zeros; "2:4",
// n of every m neighboring columns are kept.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::layerwise {

inline constexpr int64_t kPatternBlock = 128;  // columns of PatternScope::kBlock
inline constexpr int64_t kLargestGroup = 32;   // m of n:m

struct Pattern {
  double fraction = 0;  // share of zeros, 0 <= fraction < 1; 0 where `group` says all
  int64_t kept = 0;     // n of every m columns
  int64_t group = 0;    // m; 0: unstructured
  bool none() const { return group == 0 && fraction == 0; }
  double zero_share() const {
    return group > 0 ? 1 - static_cast<double>(kept) / static_cast<double>(group) : fraction;
  }
  bool operator==(const Pattern&) const = default;
};

// Over what an unstructured share is counted. Rows of stacked matrices have different scales: a
// threshold over all of them costs quality (sparsity.md).
enum class PatternScope {
  kRow,
  kMatrix,
  kBlock,  // kPatternBlock columns of all rows (SparseGPT)
};

// Errors: anything else than the text above, with an example.
absl::StatusOr<Pattern> parse_pattern(std::string_view text);
std::string to_text(const Pattern& pattern);

// OK where rows of `columns` can have the pattern: m divides them. `name` is said in the error.
absl::Status check_pattern(const Pattern& pattern, int64_t columns, std::string_view name);

// Zeros among the first `end` of things that share one count: round(fraction · end). Differences of
// it make parts whose counts add up.
int64_t zeros_before(const Pattern& pattern, int64_t end);

// The exact number of zeros in a matrix of this shape.
int64_t zero_count(const Pattern& pattern, PatternScope scope, int64_t rows, int64_t columns);

// The mask that keeps the highest of `scores` [R, in] fp32 (finite, >= 0; CPU); ties keep the lower
// column, then the lower row. Throws on NaN and on columns that do not fit.
at::Tensor choose_mask(const at::Tensor& scores, const Pattern& pattern, PatternScope scope);

}  // namespace frugal::layerwise
