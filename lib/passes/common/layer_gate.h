// The gates of passes that solve a model matrix by matrix: they stop a job instead of leaving a
// broken model behind.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "pass/options.h"
#include "pass/pass.h"

namespace frugal::passes {

struct LayerGate {
  double max_error = 1;    // relative output error of a matrix; 1 = as bad as writing zeros
  int64_t min_tokens = 0;  // that a matrix must have seen

  // Where an error is no measure of quality: only one that is not finite stops the job.
  static constexpr double kAnyError = std::numeric_limits<double>::max();
};

// `max_layer_error` and `min_tokens`.
void visit_gate(pass::OptionVisitor& visitor, LayerGate& gate);

// Refuses beforehand what check_solved would refuse in every matrix: fewer tokens than min_tokens.
// `tokens` 0: no text.
absl::Status check_gate(const LayerGate& gate, int64_t tokens, std::string_view pass);

// `squared` over `reference`, both sums of squares: 0 of 0 is 0, anything else of 0 infinite; what
// is not a number stays so.
double relative_error(double squared, double reference);

// A matrix that was solved, or several that were solved together.
struct SolvedMatrix {
  std::string_view name;
  std::string_view how;                // "on grid q4_0"
  std::optional<double> error = {};    // relative, of its output; absent where not measured
  std::optional<int64_t> tokens = {};  // that it has seen; absent without calibration
  std::string_view remedy;             // "take a finer grid"
};

// Errors: FailedPrecondition, naming the matrix: an error above the limit or not a number, too few
// tokens.
absl::Status check_solved(const LayerGate& gate, const SolvedMatrix& matrix);

}  // namespace frugal::passes
