#include "layerwise/calibration.h"

#include <algorithm>

#include "base/text.h"
#include "text/tokenizer.h"

namespace frugal::layerwise {

absl::StatusOr<CalibrationPlan> plan_calibration(const format::ModelConfig& config,
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
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::load_tokenizer(checkpoint.folder()));
  const int64_t vocabulary = checkpoint.config().vocabulary_size;
  FRUGAL_RETURN_IF_ERROR(text::check_fits(*tokenizer, vocabulary, checkpoint.folder().string()));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<text::Example> examples, text::load_examples(source));
  const text::WindowOptions options{.length = plan.length, .limit = plan.windows, .spread = true};
  absl::StatusOr<text::Windows> windows = text::make_windows(examples, *tokenizer, options);
  if (!windows.ok()) return base::annotate(windows.status(), "calibration");
  for (const text::TokenId id : windows->ids) {
    if (id < 0 || id >= vocabulary) {
      return base::failed("calibration: token id ", id, " is outside the vocabulary of ",
                          vocabulary);
    }
  }
  return windows;
}

}  // namespace frugal::layerwise
