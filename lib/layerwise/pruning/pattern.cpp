#include "layerwise/pruning/pattern.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

constexpr std::string_view kRows = "rows ", kColumns = "columns ";

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

absl::Status not_a_pattern(std::string_view text, std::string_view why) {
  return base::invalid_argument("pattern '", text, "' ", why,
                                "; write a share of zeros ('50%' or '0.5'), how many of how many "
                                "neighbors are kept ('2:4'), a share of whole rows or columns "
                                "('rows 25%', 'columns 25%'), or 'none'");
}

absl::StatusOr<Pattern> parse_groups(std::string_view text, size_t colon) {
  const auto kept = number<int64_t>(base::trim(text.substr(0, colon)));
  const auto group = number<int64_t>(base::trim(text.substr(colon + 1)));
  if (!kept || !group) return not_a_pattern(text, "does not have two whole numbers");
  if (*group < 2 || *group > kLargestGroup)
    return not_a_pattern(text, base::str_cat("needs groups of 2 to ", kLargestGroup, " columns"));
  if (*kept < 1 || *kept >= *group)
    return not_a_pattern(text, "must keep at least one and not all of a group");
  return Pattern{.fraction = 0, .kept = *kept, .group = *group};
}

absl::StatusOr<Pattern> parse_share(std::string_view text, std::string_view share, PatternOf of) {
  const bool percent = share.ends_with('%');
  const auto value =
      number<double>(base::trim(percent ? share.substr(0, share.size() - 1) : share));
  if (!value || !std::isfinite(*value)) return not_a_pattern(text, "is none that is known");
  const double fraction = percent ? *value / 100 : *value;
  if (fraction < 0) return not_a_pattern(text, "is negative");
  if (fraction >= 1) {
    return not_a_pattern(text,
                         *value >= 2 && *value < 100 && !percent
                             ? base::str_cat("is no share below 1 (did you mean ", text, "%?)")
                             : std::string("would leave no weight"));
  }
  return fraction == 0 ? Pattern{} : Pattern{.fraction = fraction, .of = of};
}

// Clears the `zeros` smallest of scores[0 .. count) in `mask`; among equals the later ones.
void drop_smallest(const float* scores, int64_t count, int64_t zeros, uint8_t* mask) {
  if (zeros == 0) return;
  thread_local std::vector<float> sorted;
  sorted.assign(scores, scores + count);
  std::nth_element(sorted.begin(), sorted.begin() + (zeros - 1), sorted.end());
  const float limit = sorted[static_cast<size_t>(zeros - 1)];
  int64_t equals =
      zeros - std::count_if(scores, scores + count, [&](float s) { return s < limit; });
  for (int64_t i = count - 1; i >= 0; --i) {
    const bool drop = scores[i] < limit || (scores[i] == limit && equals-- > 0);
    mask[i] = static_cast<uint8_t>(!drop);
  }
}

void drop_in_groups(const float* scores, int64_t columns, const Pattern& pattern, uint8_t* mask) {
  for (int64_t begin = 0; begin < columns; begin += pattern.group) {
    const float* const s = scores + begin;
    for (int64_t i = 0; i < pattern.group; ++i) {
      int64_t better = 0;
      for (int64_t j = 0; j < pattern.group; ++j) better += j < i ? s[j] >= s[i] : s[j] > s[i];
      mask[begin + i] = static_cast<uint8_t>(better < pattern.kept);
    }
  }
}

void mask_rows(const at::Tensor& scores, const Pattern& pattern, const at::Tensor& mask) {
  constexpr int64_t kTile = 64;
  const int64_t rows = scores.size(0), columns = scores.size(1);
  const float* const from = scores.const_data_ptr<float>();
  uint8_t* const to = mask.data_ptr<uint8_t>();
  tensor::for_each_tile((rows + kTile - 1) / kTile, [&](int64_t tile) {
    for (int64_t row = tile * kTile; row < std::min(rows, (tile + 1) * kTile); ++row) {
      if (pattern.group > 0) {
        drop_in_groups(from + row * columns, columns, pattern, to + row * columns);
      } else {
        drop_smallest(from + row * columns, columns, zeros_before(pattern, columns),
                      to + row * columns);
      }
    }
  });
}

// One count for all rows of each block of columns.
void mask_blocks(const at::Tensor& scores, const Pattern& pattern, int64_t width,
                 const at::Tensor& mask) {
  const int64_t rows = scores.size(0), columns = scores.size(1);
  tensor::for_each_tile((columns + width - 1) / width, [&](int64_t block) {
    const int64_t begin = block * width, size = std::min(width, columns - begin);
    const at::Tensor part = scores.narrow(1, begin, size).contiguous();
    const at::Tensor kept = at::ones({rows, size}, at::kByte);
    const int64_t zeros =
        zeros_before(pattern, rows * (begin + size)) - zeros_before(pattern, rows * begin);
    drop_smallest(part.const_data_ptr<float>(), rows * size, zeros, kept.data_ptr<uint8_t>());
    mask.narrow(1, begin, size).copy_(kept);
  });
}

}  // namespace

absl::StatusOr<Pattern> parse_pattern(std::string_view text) {
  const std::string_view trimmed = base::trim(text);
  if (trimmed == "none") return Pattern{};
  const size_t colon = trimmed.find(':');
  for (const auto& [word, of] :
       {std::pair{kRows, PatternOf::kRows}, {kColumns, PatternOf::kColumns}}) {
    if (!trimmed.starts_with(word)) continue;
    if (colon != std::string_view::npos) return not_a_pattern(text, "needs a share of them");
    return parse_share(trimmed, base::trim(trimmed.substr(word.size())), of);
  }
  if (colon != std::string_view::npos) return parse_groups(trimmed, colon);
  return parse_share(trimmed, trimmed, PatternOf::kWeights);
}

std::string to_text(const Pattern& pattern) {
  if (pattern.none()) return "none";
  if (pattern.group > 0) return base::str_cat(pattern.kept, ":", pattern.group);
  const std::string_view of = pattern.of == PatternOf::kRows      ? kRows
                              : pattern.of == PatternOf::kColumns ? kColumns
                                                                  : "";
  return base::str_cat(of, 100 * pattern.fraction, "%");
}

absl::Status check_pattern(const Pattern& pattern, int64_t rows, int64_t columns,
                           std::string_view name) {
  if (pattern.of != PatternOf::kWeights) {
    const bool by_rows = pattern.of == PatternOf::kRows;
    const int64_t count = by_rows ? rows : columns, zeros = zeros_before(pattern, count);
    if (zeros > 0 && zeros < count) return absl::OkStatus();
    return base::invalid_argument(
        name, " has ", count, by_rows ? " rows" : " columns", ", of which ", to_text(pattern),
        zeros == 0 ? " is not one" : " is all", "; give it another pattern");
  }
  if (pattern.group == 0 || columns % pattern.group == 0) return absl::OkStatus();
  return base::invalid_argument(name, " has rows of ", columns, ", no multiple of ", pattern.group,
                                ", so that it cannot keep ", to_text(pattern),
                                "; give it another pattern");
}

int64_t zeros_before(const Pattern& pattern, int64_t end) {
  if (pattern.group > 0) return end / pattern.group * (pattern.group - pattern.kept);
  return std::llround(pattern.fraction * static_cast<double>(end));
}

int64_t zero_count(const Pattern& pattern, PatternScope scope, int64_t rows, int64_t columns) {
  if (pattern.of == PatternOf::kRows) return zeros_before(pattern, rows) * columns;
  if (pattern.of == PatternOf::kColumns) return zeros_before(pattern, columns) * rows;
  if (pattern.group > 0 || scope == PatternScope::kRow)
    return rows * zeros_before(pattern, columns);
  return zeros_before(pattern, rows * columns);
}

absl::Status check_zeros(const Pattern& pattern, PatternScope scope, int64_t rows, int64_t columns,
                         std::string_view name) {
  const int64_t zeros = zero_count(pattern, scope, rows, columns);
  if (zeros > 0 && zeros < rows * columns) return absl::OkStatus();
  return base::invalid_argument(
      name, ": ", to_text(pattern), " of ", scope == PatternScope::kRow ? "each row of " : "",
      scope == PatternScope::kRow ? columns : rows * columns, " weights is ",
      zeros == 0 ? "less than half a weight, so that none would go" : "all of them",
      "; give it another pattern");
}

at::Tensor choose_mask(const at::Tensor& scores, const Pattern& pattern, PatternScope scope) {
  TORCH_CHECK(scores.dim() == 2 && scores.scalar_type() == at::kFloat && scores.is_cpu(),
              "scores must be an fp32 matrix on the CPU");
  TORCH_CHECK_VALUE(at::isfinite(scores).all().item<bool>(),
                    "the weights' scores hold a NaN or infinity");
  TORCH_CHECK(pattern.group == 0 || scores.size(1) % pattern.group == 0, scores.size(1),
              " columns are no multiple of ", pattern.group);
  TORCH_CHECK(
      pattern.of == PatternOf::kWeights || scores.size(pattern.of == PatternOf::kRows ? 1 : 0) == 1,
      "scores of whole rows are [R, 1], of whole columns [1, in], found ", scores.sizes());
  at::Tensor mask = at::ones(scores.sizes(), at::kByte);
  if (pattern.none() || scores.numel() == 0) return mask;
  const at::Tensor values = scores.contiguous();
  if (pattern.of != PatternOf::kWeights) {
    drop_smallest(values.const_data_ptr<float>(), values.numel(),
                  zeros_before(pattern, values.numel()), mask.data_ptr<uint8_t>());
  } else if (pattern.group > 0 || scope == PatternScope::kRow) {
    mask_rows(values, pattern, mask);
  } else {
    mask_blocks(values, pattern, scope == PatternScope::kBlock ? kPatternBlock : values.size(1),
                mask);
  }
  return mask;
}

}  // namespace frugal::layerwise
