// The model that a measure step takes turns with: what computes it, and whether a comparison with
// it would be one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "passes/common/serving.h"

namespace frugal::passes {

// The reference in the very runtime that computes the model: another one would be what is compared.
// `serving`: of the model; absent: frugal's own forward, then the reference's, too. `artifacts`:
// what the reference is besides a checkpoint; `name`: as people call it. Errors: it comes in no
// format of that runtime, or the model in none that a runtime reads.
struct ReferenceInput {
  std::string name;
  std::vector<pass::Artifact> artifacts, of_model;
};
absl::StatusOr<std::optional<Serving>> reference_serving(std::string_view option,
                                                         const std::optional<Serving>& serving,
                                                         const ReferenceInput& reference);

// Errors: the two cannot be asked the same: another vocabulary, or a context shorter than `length`.
absl::Status check_same_work(const pass::ModelInfo& model, const pass::ModelInfo& reference,
                             int64_t length);

}  // namespace frugal::passes
