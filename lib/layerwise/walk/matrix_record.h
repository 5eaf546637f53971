// What a solver says of a matrix it has solved: a row of the journal's tables `layer_error` and
// `smoothing`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "architecture/stages.h"
#include "base/json.h"
#include "base/status.h"
#include "layerwise/walk/statistics.h"

namespace frugal::layerwise {

// Of a matrix, or of the matrices of a stage that were solved as one. Errors are squared errors of
// outputs on the calibration text, relative to the squared outputs unless they say "squared".
struct MatrixRecord {
  int64_t layer = 0;
  std::optional<int64_t> expert;                  // of a stage that only some tokens reach
  std::optional<std::string> matrix;              // full weight name
  std::optional<std::string> group, merged_into;  // scaling: the stage, and the weight before it
  std::optional<std::string> grid;                // quantization
  std::optional<std::string> pattern;             // zeros among single weights
  std::optional<std::string> structures;          // neurons, heads, channels: what was removed,
  std::optional<int64_t> count, kept;             // of how many, and how many are left
  std::optional<double> ratio;                    // scaling: the exponent chosen,
  std::optional<std::string> form;                // and the form of the scale
  std::optional<double>
      error_before;                   // of the plain method: rounded to nearest, only cut, unscaled
  std::optional<double> error_after;  // against what the solver aimed at
  std::optional<double> error_original;  // against the original weights
  std::optional<double> weight_error;    // of the weights themselves, without calibration
  std::optional<double> correction;      // how far a refit moved the output, relative to it
  std::optional<double> squared_error_before, squared_error;
  std::optional<double> clip_error_before, clip_error;        // squared, with the weights scaled
  std::optional<double> outlier_ratio_before, outlier_ratio;  // of the channels' largest inputs
  std::optional<double> layer_output_error_before, layer_output_error_after;  // of the whole layer
  std::optional<double> share;  // of squared_error in the sum over all matrices
  std::optional<int64_t> zeros, zeros_given, zeros_filled;  // now, in the input, no longer zero
  std::optional<double> alpha, beta;                        // strengths of the drift correction
  std::optional<double> damping, output_damping;            // of H, of the outputs' second moment
  std::optional<int64_t> recoveries;    // times the factorization took more damping
  std::optional<int64_t> dead_columns;  // inputs that were always zero; absent without a factor
  std::optional<bool> fell_back;        // to the plain method: H could not be factorized
  std::optional<std::string> sweep_kernel, sweep_fallback;  // which, and why not on the device
  std::optional<int64_t> steps, rows_unfinished;            // of conjugate gradients
  std::optional<int64_t> weights;                           // in the matrix
  std::optional<double> blend;  // share of all tokens in a rare expert's statistics
  int64_t tokens = 0;
  double seconds = 0;

  // Of the stage whose matrices these are.
  void set_stage(const architecture::StageRef& at);
  // How many tokens they got, and whether that was made up for.
  void set_statistics(const InputStatistics& statistics);
};

// What is not known is left out, except the columns that every row of a matrix has: those are null.
base::Json to_json(const MatrixRecord& record);

// Errors: a field of another type than to_json writes.
absl::StatusOr<MatrixRecord> parse_matrix_record(const base::Json& json, std::string_view where);

}  // namespace frugal::layerwise
