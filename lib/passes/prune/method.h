// The ways to make a model smaller. A step takes one: each needs the others' result, or its
// absence, as its input.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "layerwise/walk/estimate.h"
#include "layerwise/walk/layer_store.h"
#include "layerwise/walk/walk.h"
#include "pass/pass.h"
#include "passes/prune/options.h"

namespace frugal::passes {

// Why zeros of the input are lost where what is left is refitted.
inline constexpr std::string_view kRefitFillsZeros =
    "compensate refits matrices, which fills them; take channels, neurons and heads away first and "
    "weights last, or set compensate: false";

// What a run hands to its method.
struct PruneRun {
  pass::RunContext& context;
  const text::Windows& calibration;  // none where uses_text() is false
  const layerwise::WalkOptions& walk;
  const layerwise::LayerStore& store;

  const format::Checkpoint& input() const { return *context.input(); }
};

class PruneMethod {
 public:
  // `options` outlive the method.
  explicit PruneMethod(const PruneOptions& options) : options_(options) {}
  virtual ~PruneMethod() = default;

  // Whether there is no way without calibration text, and whether text that is given is looked at.
  virtual bool needs_text() const = 0;
  virtual bool uses_text() const { return needs_text(); }
  // Whether the refit makes up for the drift of the layers before.
  virtual bool corrects_drift() const = 0;

  // Errors: options that do not fit the model. `model` becomes the result: its config, its zeros.
  // Warns of what is lost. `tokens`: of the calibration text.
  virtual absl::Status check(pass::CheckContext& context, int64_t tokens,
                             pass::ModelInfo& model) const = 0;
  // Operations of the walk that solves, those besides it, and bytes of the walk.
  virtual double walk_operations(const architecture::ModelConfig& config, int64_t tokens) const;
  double attention_operations(const architecture::ModelConfig& config,
                              const layerwise::CalibrationPlan& calibration) const;
  virtual double extra_operations(const architecture::ModelConfig& config, int64_t tokens) const;
  virtual absl::StatusOr<int64_t> walk_bytes(const architecture::ModelConfig& config,
                                             const layerwise::CalibrationPlan& calibration) const;

  // Writes the result and reports it.
  virtual absl::Status run(const PruneRun& run) const = 0;

 protected:
  const PruneOptions& options() const { return options_; }
  // Bytes of a walk that only looks at what goes by.
  absl::StatusOr<int64_t> observing_bytes(const architecture::ModelConfig& config,
                                          const layerwise::CalibrationPlan& calibration) const;
  bool has_drift_strength() const { return options_.alpha != 0 || options_.beta != 0; }

 private:
  const PruneOptions& options_;
};

std::unique_ptr<PruneMethod> make_mask_pruning(const PruneOptions& options);
std::unique_ptr<PruneMethod> make_width_pruning(const PruneOptions& options);    // neurons, heads
std::unique_ptr<PruneMethod> make_channel_pruning(const PruneOptions& options);  // hidden size
std::unique_ptr<PruneMethod> make_expert_pruning(const PruneOptions& options);
std::unique_ptr<PruneMethod> make_depth_pruning(const PruneOptions& options);

// The method that the options ask for. Errors: none or several, with the reason.
absl::StatusOr<std::unique_ptr<PruneMethod>> make_prune_method(const PruneOptions& options);

}  // namespace frugal::passes
