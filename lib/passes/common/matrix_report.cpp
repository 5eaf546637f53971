#include "passes/common/matrix_report.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "base/text.h"

namespace frugal::passes {

using layerwise::MatrixRecord;

void report_layer_errors(pass::RunContext& context, std::vector<MatrixRecord> records) {
  double sum = 0;
  for (const MatrixRecord& record : records) sum += record.squared_error.value_or(0);
  for (MatrixRecord& record : records) {
    if (record.squared_error && sum > 0) record.share = *record.squared_error / sum;
    context.row("layer_error", to_json(record));
  }
}

void report_mean_error(pass::RunContext& context, const std::vector<MatrixRecord>& records) {
  double sum = 0;
  int64_t measured = 0;
  for (const MatrixRecord& record : records) {
    if (!record.error_after) continue;
    sum += *record.error_after;
    ++measured;
  }
  context.statistic(
      {.name = "mean_relative_error",
       .value =
           measured > 0 ? std::optional<double>(sum / static_cast<double>(measured)) : std::nullopt,
       .help = "Mean over matrices of the squared error of their outputs relative to these, on the "
               "calibration text, against what the step aimed at.",
       .n = measured});
}

void warn_of_dead_columns(pass::RunContext& context, const std::vector<MatrixRecord>& records) {
  int64_t matrices = 0, columns = 0;
  for (const MatrixRecord& record : records) {
    const int64_t dead = record.dead_columns.value_or(0);
    matrices += dead > 0 ? 1 : 0;
    columns += dead;
  }
  if (matrices == 0) return;
  context.warn(base::str_cat(
      matrices, " of ", records.size(), " matrices have input columns that were zero on the whole ",
      "calibration text, ", columns,
      " in all (layer_error, dead_columns): nothing is known of what they do on other text; unless "
      "they were pruned away, calibrate on more and more varied text"));
}

}  // namespace frugal::passes
