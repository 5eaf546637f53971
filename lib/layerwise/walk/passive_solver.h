// A solver that leaves every layer as it is, for walks that only observe (WalkOptions::observe),
// and the base of those that measure.
#pragma once

#include <cstdint>

#include "layerwise/walk/walk.h"

namespace frugal::layerwise {

class PassiveSolver : public StageSolver {
 public:
  Needs needs(const architecture::StageRef& /*at*/) const override { return Needs::kNothing; }
  DriftForm drift_form() const final { return DriftForm::kNone; }
  absl::StatusOr<at::Tensor> solve(const StageProblem& /*problem*/) override {
    return at::Tensor();
  }
  absl::Status store_layer(int64_t /*layer*/) final { return absl::OkStatus(); }
  absl::StatusOr<bool> has_stored(int64_t /*layer*/) final { return false; }
  absl::StatusOr<at::Tensor> restore(const StageProblem& /*problem*/) final { return at::Tensor(); }
};

}  // namespace frugal::layerwise
