// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/prune_pass.h"

#include <string>

#include "architecture/stages.h"
#include "base/text.h"
#include "layerwise/walk/estimate.h"
#include "passes/common/calibration_options.h"
#include "passes/common/speed.h"
#include "passes/common/text_checks.h"
#include "passes/prune/method.h"
#include "passes/prune/options.h"
#include "tensor/device.h"

namespace frugal::passes {
namespace {

class PrunePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "prune",
        .version = 4,
        .summary =
            "Removes weights (a share, n of every m, whole rows or columns), neurons and heads, "
            "channels, experts, or whole layers, and refits what is left by least squares."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_prune_options(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  absl::StatusOr<layerwise::CalibrationPlan> check_calibration(const PruneMethod& method,
                                                               pass::CheckContext& context,
                                                               const pass::ModelInfo& model) const;
  absl::StatusOr<text::Windows> windows(const PruneMethod& method, const at::Device& device,
                                        pass::RunContext& context) const;

  PruneOptions options_;
};

absl::StatusOr<layerwise::CalibrationPlan> PrunePass::check_calibration(
    const PruneMethod& method, pass::CheckContext& context, const pass::ModelInfo& model) const {
  if (!options_.calibration.name.empty())
    return check_windows(context, "prune", model, options_.calibration, options_.windows);
  if (!method.needs_text()) return layerwise::CalibrationPlan{};
  return base::invalid_argument(
      "prune: this needs `calibration` (an entry of data:); without it there are only solver "
      "magnitude without refit, score magnitude without compensation, and drop_layer_indices");
}

absl::Status PrunePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument("prune: '", model.name,
                                  "' is quantized already; prune first, quantize afterwards");
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto method, make_prune_method(options_));
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::CalibrationPlan calibration,
                          check_calibration(*method, context, model));
  const int64_t tokens = calibration.tokens();
  const int64_t before = model.config.parameter_count();
  FRUGAL_ASSIGN_OR_RETURN(const int64_t walk_bytes, method->walk_bytes(model.config, calibration));
  const int64_t writing = writing_memory(model.config, calibration);
  const double operations = writing_operations(model.config, calibration) +
                            method->walk_operations(model.config, tokens) +
                            method->extra_operations(model.config, tokens);
  FRUGAL_RETURN_IF_ERROR(check_gate(options_.gate, tokens, "prune"));
  FRUGAL_RETURN_IF_ERROR(method->check(context, tokens, model));
  const double share =
      static_cast<double>(model.config.parameter_count()) / static_cast<double>(before);
  model.size_bytes = static_cast<int64_t>(share * static_cast<double>(model.size_bytes));
  context.estimate(
      {.seconds = operations / kOperationsPerSecond,
       .peak_memory_bytes = layerwise::process_memory() + std::max(walk_bytes, writing),
       .output_bytes = model.size_bytes,
       .basis = "operations at 20 GFLOP/s (one CPU core); activations, statistics and "
                "one layer in memory"});
  return absl::OkStatus();
}

absl::StatusOr<text::Windows> PrunePass::windows(const PruneMethod& method,
                                                 const at::Device& device,
                                                 pass::RunContext& context) const {
  if (options_.calibration.name.empty() || !method.uses_text()) return text::Windows{};
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input.config(), source, options_.windows));
  FRUGAL_ASSIGN_OR_RETURN(text::Windows windows,
                          load_windows(context, input, device, "prune", source, plan));
  warn_of_fewer_windows(context, "prune", windows, options_.windows.windows);
  return windows;
}

absl::Status PrunePass::run(pass::RunContext& context) const {
  FRUGAL_ASSIGN_OR_RETURN(const auto method, make_prune_method(options_));
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration, windows(*method, device, context));
  const layerwise::WalkOptions walk = walk_options(options_.windows, device, "prune", context);
  const layerwise::LayerStore store(
      context.resume_folder(),
      base::str_cat("prune ", info().version, " ", calibration.text_sha256));
  return method->run({context, calibration, walk, store});
}

}  // namespace

std::unique_ptr<pass::Pass> make_prune_pass() { return std::make_unique<PrunePass>(); }

}  // namespace frugal::passes
