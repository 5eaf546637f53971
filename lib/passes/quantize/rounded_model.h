// The model with every planned matrix rounded to nearest, and how far that moves its distribution.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/decoder.h"
#include "passes/quantize/target.h"
#include "text/dataset.h"

namespace frugal::passes {

using Importance = std::map<std::string, at::Tensor, std::less<>>;  // E[x²] [in] by weight name

class RoundedModel {
 public:
  // `original` (fp32), `plan`, `importance` (matrices that are absent: all columns equal) and
  // `windows` (one at least) outlive the object.
  RoundedModel(const model::Decoder& original, const TargetPlan& plan, const Importance& importance,
               const text::Windows& windows)
      : original_(original),
        plan_(plan),
        importance_(importance),
        windows_(windows),
        rounded_(original) {}

  // Mean KL(original || rounded) over all places of the windows, nats, with the free matrices on
  // candidate choice[i] of each and the others as planned. Rounds only what changed since the last
  // call; the same bits at any number of threads. Errors: rounding, out of memory, a divergence
  // that is not finite.
  absl::StatusOr<double> divergence(const std::vector<size_t>& choice);

 private:
  absl::Status put(const std::string& name, const std::string& grid);

  const model::Decoder& original_;
  const TargetPlan& plan_;
  const Importance& importance_;
  const text::Windows& windows_;
  model::Decoder rounded_;                                 // shares what is not rounded
  std::map<std::string, std::string, std::less<>> grids_;  // that rounded_ is on
  std::vector<at::Tensor> original_hidden_;  // of each window [T, C]; undefined until first asked
};

}  // namespace frugal::passes
