#include "layerwise/walk/calibration.h"

#include <algorithm>
#include <numeric>

#include "base/text.h"
#include "text/tokenizer.h"

namespace frugal::layerwise {

absl::StatusOr<CalibrationPlan> plan_calibration(const architecture::ModelConfig& config,
                                                 const text::DataSource& source,
                                                 const CalibrationOptions& options) {
  CalibrationPlan plan;
  plan.length = options.sequence_length > 0 ? options.sequence_length
                : source.sequence_length > 0
                    ? source.sequence_length
                    : std::min(kDefaultSequenceLength, config.context_length);
  if (plan.length > config.context_length) {
    return base::invalid_argument("calibration windows of ", plan.length,
                                  " tokens are longer than the model's context of ",
                                  config.context_length, "; set sequence_length to at most that");
  }
  if (options.windows == 0 && source.tokens > 0 && source.tokens < plan.length) {
    return base::invalid_argument("the calibration data is limited to ", source.tokens,
                                  " tokens, less than one window of ", plan.length,
                                  "; raise `tokens` or lower `sequence_length`");
  }
  plan.windows = options.windows > 0 ? options.windows
                 : source.tokens > 0 ? source.tokens / plan.length
                                     : kDefaultWindows;
  return plan;
}

absl::StatusOr<text::Windows> load_calibration(const format::Checkpoint& checkpoint,
                                               const text::DataSource& source,
                                               const CalibrationPlan& plan) {
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(checkpoint.folder()));
  const int64_t vocabulary = checkpoint.config().vocabulary_size;
  FRUGAL_RETURN_IF_ERROR(text::check_fits(*tokenizer, vocabulary, checkpoint.folder().string()));
  const text::WindowOptions options{.length = plan.length, .limit = plan.windows, .spread = true};
  absl::StatusOr<text::Windows> windows = text::make_windows(source, *tokenizer, options);
  if (!windows.ok()) return base::annotate(windows.status(), "calibration");
  for (const text::TokenId id : windows->ids) {
    if (id < 0 || id >= vocabulary) {
      return base::failed("calibration: token id ", id, " is outside the vocabulary of ",
                          vocabulary);
    }
  }
  return windows;
}

namespace {

// `count` of `from`, evenly spread; they leave it.
std::vector<int64_t> take_spread(std::vector<int64_t>& from, int64_t count) {
  std::vector<int64_t> taken, left;
  const auto total = static_cast<int64_t>(from.size());
  for (int64_t i = 0; i < total; ++i) {
    const bool take = (i + 1) * count / total > i * count / total;
    (take ? taken : left).push_back(from[static_cast<size_t>(i)]);
  }
  from = std::move(left);
  return taken;
}

text::Windows select(const text::Windows& all, const std::vector<int64_t>& which) {
  text::Windows result = all;
  result.count = static_cast<int64_t>(which.size());
  result.ids.clear();
  for (const int64_t window : which) {
    const auto begin = all.ids.begin() + window * all.length;
    result.ids.insert(result.ids.end(), begin, begin + all.length);
  }
  return result;
}

}  // namespace

CalibrationSplit split_windows(const text::Windows& all, int64_t seen, int64_t held_out,
                               int64_t fresh) {
  // A text too short for all still gives an eighth to the choices that need windows of their own.
  const int64_t least = std::min(held_out, std::max<int64_t>(all.count / 8, 1));
  held_out =
      std::min(std::clamp(all.count - seen, least, held_out), std::max<int64_t>(all.count - 1, 0));
  fresh = std::clamp<int64_t>(all.count - held_out - seen, 0, fresh);
  std::vector<int64_t> left(static_cast<size_t>(all.count));
  std::iota(left.begin(), left.end(), 0);
  CalibrationSplit split;
  split.held_out = select(all, take_spread(left, held_out));
  split.fresh = select(all, take_spread(left, fresh));
  split.seen = select(all, left);
  return split;
}

text::Windows joined(const text::Windows& a, const text::Windows& b) {
  text::Windows result = a;
  result.count += b.count;
  result.ids.insert(result.ids.end(), b.ids.begin(), b.ids.end());
  return result;
}

}  // namespace frugal::layerwise
