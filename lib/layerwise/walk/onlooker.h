// A solver that goes through the layers without touching them, for walks that only look
// (WalkOptions::observe).
#pragma once

#include <cstdint>

#include "layerwise/walk/walk.h"

namespace frugal::layerwise {

class Onlooker : public StageSolver {
 public:
  Needs needs(int64_t /*layer*/, size_t /*stage*/) const override { return Needs::kNothing; }
  DriftForm drift_form() const override { return DriftForm::kNone; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& /*problem*/) override {
    return at::Tensor();
  }
  absl::Status finish_layer(int64_t /*layer*/) override { return absl::OkStatus(); }
  absl::StatusOr<bool> is_finished(int64_t /*layer*/) override { return false; }
  absl::StatusOr<at::Tensor> restore(const StageProblem& /*problem*/) override {
    return at::Tensor();
  }
};

}  // namespace frugal::layerwise
