// Options of every pass that runs a layer walk over calibration text, and what they mean for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/estimate.h"
#include "layerwise/walk/walk.h"
#include "pass/options.h"
#include "pass/pass.h"

namespace frugal::passes {

// `windows`, `sequence_length`, `calibration_precision` and `activation_memory`.
void visit_windows(pass::OptionVisitor& visitor, layerwise::CalibrationOptions& options);
// The same where another option decides the number of windows unless it is given.
void visit_windows(pass::OptionVisitor& visitor, std::optional<int64_t>& windows,
                   std::string_view otherwise, layerwise::CalibrationOptions& options);
// `calibration_precision` alone.
void visit_precision(pass::OptionVisitor& visitor, layerwise::CalibrationOptions& options);

// The windows that `pass` will walk over, at most; notes where the model writes them. Errors: a
// model without a tokenizer; unknown data; those of plan_calibration; less text than one window,
// where the tokenizer can be read.
absl::StatusOr<layerwise::CalibrationPlan> check_windows(
    pass::CheckContext& context, std::string_view pass, const pass::ModelInfo& model,
    const pass::DataReference& calibration, const layerwise::CalibrationOptions& options);

// Warns where all text is of one source: for passes that fit weights to it.
absl::Status warn_of_one_text(pass::CheckContext& context, std::string_view pass,
                              const pass::DataReference& calibration);

// The windows themselves. Where the model writes some of them, they are kept in the step's resume
// folder.
absl::StatusOr<text::Windows> load_windows(const pass::RunContext& context,
                                           const format::Checkpoint& input,
                                           const at::Device& device, std::string_view pass,
                                           const text::DataSource& source,
                                           const layerwise::CalibrationPlan& plan);

// What writing text takes where `plan` has the model do so, beside the walk that follows: bytes at
// its peak, and operations.
int64_t writing_memory(const architecture::ModelConfig& config,
                       const layerwise::CalibrationPlan& plan);
double writing_operations(const architecture::ModelConfig& config,
                          const layerwise::CalibrationPlan& plan);

// `seconds` of the work, with those of writing before it.
std::optional<double> with_writing(std::optional<double> seconds,
                                   const architecture::ModelConfig& config,
                                   const layerwise::CalibrationPlan& plan,
                                   const at::Device& device);

// What the options decide of a walk, beforehand and when it runs: all but what depends on the
// solver. `plan` may be empty: a walk without text.
layerwise::WalkDemand walk_demand(const layerwise::CalibrationOptions& options,
                                  const layerwise::CalibrationPlan& plan);
layerwise::WalkOptions walk_options(const layerwise::CalibrationOptions& options,
                                    const at::Device& device, std::string_view pass,
                                    const pass::RunContext& context);

}  // namespace frugal::passes
