#include "passes/common/layer_gate.h"

#include <cmath>

#include "base/text.h"

namespace frugal::passes {

void visit_gate(pass::OptionVisitor& visitor, LayerGate& gate) {
  visitor.field(
      {.name = "max_layer_error",
       .help = "Stop where the relative output error of a matrix, as far as it is measured, "
               "exceeds this (1 = as bad as writing zeros).",
       .minimum = 0,
       .minimum_exclusive = true},
      gate.max_error);
  visitor.field({.name = "min_tokens",
                 .help = "Stop where a matrix has seen fewer calibration tokens.",
                 .unit = "tokens",
                 .minimum = 0},
                gate.min_tokens);
}

absl::Status check_gate(const LayerGate& gate, int64_t tokens, std::string_view pass) {
  if (tokens == 0 || tokens >= gate.min_tokens) return absl::OkStatus();
  return base::invalid_argument(pass, ": min_tokens = ", gate.min_tokens,
                                ", but calibration takes ", tokens,
                                " tokens at most; raise `windows` or lower min_tokens");
}

double relative_error(double squared, double reference) {
  if (reference > 0) return squared / reference;
  if (std::isnan(reference)) return reference;
  if (std::isnan(squared)) return squared;
  return squared == 0 ? 0.0 : std::numeric_limits<double>::infinity();
}

absl::Status check_solved(const LayerGate& gate, const SolvedMatrix& matrix) {
  if (matrix.tokens && *matrix.tokens < gate.min_tokens) {
    return base::failed(matrix.name, ": saw ", *matrix.tokens,
                        " calibration tokens, min_tokens is ", gate.min_tokens,
                        "; calibrate on more text");
  }
  if (!matrix.error || *matrix.error <= gate.max_error) return absl::OkStatus();  // false for NaN
  return base::failed(matrix.name, ": the relative output error ", matrix.how, " is ",
                      *matrix.error, ", max_layer_error is ", gate.max_error,
                      " (1 = as bad as writing zeros); ", matrix.remedy);
}

}  // namespace frugal::passes
