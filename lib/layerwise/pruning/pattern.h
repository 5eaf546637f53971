// Which weights of a matrix go: patterns of zeros, and masks that meet them exactly.
//
// A mask is uint8 [R, in], 1 = kept. Pattern text: "none"; "50%" or "0.5", a share of zeros; "2:4",
// n of every m neighboring columns are kept; "rows 25%" and "columns 25%", a share of whole rows
// (output neurons) or whole columns (inputs).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace frugal::layerwise {

inline constexpr int64_t kPatternBlock = 128;  // columns of PatternScope::kBlock
inline constexpr int64_t kLargestGroup = 32;   // m of n:m

enum class PatternOf { kWeights, kRows, kColumns };

struct Pattern {
  double fraction = 0;  // share of zeros, 0 <= fraction < 1; 0 where `group` says all
  int64_t kept = 0;     // n of every m columns
  int64_t group = 0;    // m; 0: a share
  PatternOf of = PatternOf::kWeights;  // what the share is one of
  bool none() const { return group == 0 && fraction == 0; }
  double zero_share() const {
    return group > 0 ? 1 - static_cast<double>(kept) / static_cast<double>(group) : fraction;
  }
  bool operator==(const Pattern&) const = default;
};

// Over what a share of single weights is counted; whole rows and columns are counted over the
// matrix. Rows of stacked matrices have different scales: a
// threshold over all of them costs quality (Wanda, arXiv 2306.11695).
enum class PatternScope {
  kRow,
  kMatrix,
  kBlock,  // kPatternBlock columns of all rows (SparseGPT)
};

// Errors: anything else than the text above, with an example.
absl::StatusOr<Pattern> parse_pattern(std::string_view text);
std::string to_text(const Pattern& pattern);

// OK where a matrix of this shape can have the pattern: m divides its columns, and of whole rows or
// columns some go and some stay. `name` is said in the error.
absl::Status check_pattern(const Pattern& pattern, int64_t rows, int64_t columns,
                           std::string_view name);

// Zeros among the first `end` of things that share one count: round(fraction · end). Differences of
// it make parts whose counts add up.
int64_t zeros_before(const Pattern& pattern, int64_t end);

// The exact number of zeros in a matrix of this shape.
int64_t zero_count(const Pattern& pattern, PatternScope scope, int64_t rows, int64_t columns);

// OK where the pattern comes out as some zeros and some weights in a matrix of this shape: a share
// may round to none or to all. `pattern` is not none.
absl::Status check_zeros(const Pattern& pattern, PatternScope scope, int64_t rows, int64_t columns,
                         std::string_view name);

// The mask that keeps the highest of `scores` [R, in] fp32 (finite, >= 0; CPU); ties keep the lower
// column, then the lower row. Of whole rows or columns the scores, and the mask, are [R, 1] or
// [1, in]. Throws on NaN and on sizes that do not fit.
at::Tensor choose_mask(const at::Tensor& scores, const Pattern& pattern, PatternScope scope);

}  // namespace frugal::layerwise
