// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/prune_pass.h"

#include <string>

#include "architecture/stages.h"
#include "base/text.h"
#include "layerwise/walk/estimate.h"
#include "passes/common/calibration_options.h"
#include "passes/common/machine_speed.h"
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

  std::vector<ImpliedData> implied_data() const override {
    if (resolved().calibration == options_.calibration) return {};
    return {{"calibration", pass::kSelfData}};
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  // With what a method takes that needs text where none is given.
  PruneOptions resolved() const;

  PruneOptions options_;
};

PruneOptions PrunePass::resolved() const {
  PruneOptions options = options_;
  if (!options.calibration.name.empty()) return options;
  const auto method = make_prune_method(options_);
  if (method.ok() && (*method)->needs_text()) options.calibration.name = pass::kSelfData;
  return options;
}

absl::StatusOr<layerwise::CalibrationPlan> check_calibration(const PruneOptions& options,
                                                             pass::CheckContext& context,
                                                             const pass::ModelInfo& model) {
  if (options.calibration.name.empty()) return layerwise::CalibrationPlan{};
  return check_windows(context, "prune", model, options.calibration, options.windows);
}

absl::Status PrunePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument("prune: '", model.name,
                                  "' is quantized already; prune first, quantize afterwards");
  }
  const PruneOptions options = resolved();
  FRUGAL_ASSIGN_OR_RETURN(const auto method, make_prune_method(options));
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::CalibrationPlan calibration,
                          check_calibration(options, context, model));
  const int64_t tokens = calibration.tokens();
  const int64_t before = model.config.parameter_count();
  FRUGAL_ASSIGN_OR_RETURN(const int64_t walk_bytes, method->walk_bytes(model.config, calibration));
  const int64_t writing = writing_memory(model.config, calibration);
  const double operations = method->walk_operations(model.config, tokens) +
                            method->attention_operations(model.config, calibration) +
                            method->extra_operations(model.config, tokens);
  const at::Device device(context.device());
  const std::optional<double> speed = walk_speed(options.windows.products(), device);
  const auto seconds =
      with_writing(seconds_of(operations, speed), model.config, calibration, device);
  FRUGAL_RETURN_IF_ERROR(check_gate(options.gate, tokens, "prune"));
  FRUGAL_RETURN_IF_ERROR(method->check(context, tokens, model));
  const double share =
      static_cast<double>(model.config.parameter_count()) / static_cast<double>(before);
  model.size_bytes = static_cast<int64_t>(share * static_cast<double>(model.size_bytes));
  context.estimate(
      {.seconds = seconds,
       .peak_memory_bytes = layerwise::process_memory() + std::max(walk_bytes, writing),
       .output_bytes = model.size_bytes,
       .basis = base::str_cat("operations ", speed_text(speed),
                              "; activations, statistics and one layer in memory")});
  return absl::OkStatus();
}

absl::StatusOr<text::Windows> calibration_windows(const PruneOptions& options,
                                                  const PruneMethod& method,
                                                  const at::Device& device,
                                                  pass::RunContext& context) {
  if (options.calibration.name.empty() || !method.uses_text()) return text::Windows{};
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input.config(), source, options.windows));
  FRUGAL_ASSIGN_OR_RETURN(text::Windows windows,
                          load_windows(context, input, device, "prune", source, plan));
  warn_of_fewer_windows(context, "prune", windows, options.windows.windows);
  return windows;
}

absl::Status PrunePass::run(pass::RunContext& context) const {
  const PruneOptions options = resolved();
  FRUGAL_ASSIGN_OR_RETURN(const auto method, make_prune_method(options));
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration,
                          calibration_windows(options, *method, device, context));
  const layerwise::WalkOptions walk = walk_options(options.windows, device, "prune", context);
  const layerwise::LayerStore store(
      context.resume_folder(),
      base::str_cat("prune ", info().version, " ", calibration.text_sha256));
  return method->run({context, calibration, walk, store});
}

}  // namespace

std::unique_ptr<pass::Pass> make_prune_pass() { return std::make_unique<PrunePass>(); }

}  // namespace frugal::passes
