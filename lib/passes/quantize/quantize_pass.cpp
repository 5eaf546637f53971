#include "passes/quantize/quantize_pass.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "layerwise/calibration.h"
#include "layerwise/layer_store.h"
#include "layerwise/walk.h"
#include "passes/quantize/grid_solver.h"
#include "passes/quantize/options.h"
#include "passes/quantize/output.h"
#include "passes/quantize/plan.h"
#include "tensor/device.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using Place = PlannedTensor::Place;

constexpr double kOperationsPerSecond =
    2e10;  // of one CPU core in fp32: a rough figure for estimates only

class QuantizePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "quantize",
                                     .version = 1,
                                     .summary =
                                         "Puts the decoder's matrices on a number grid (GGUF "
                                         "types, int4, int8), rounded to nearest or by GPTQ "
                                         "with activation-weighted scales."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_quantize_options(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  GridSolverOptions solver_options(const std::vector<PlannedTensor>& plan,
                                   int64_t layer_count) const;
  absl::StatusOr<text::Windows> windows(pass::RunContext& context) const;

  QuantizeOptions options_;
};

int64_t element_count(const PlannedTensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  return count;
}

// Operations of sweeps and refinements, on top of the walk's.
double solver_operations(const std::vector<PlannedTensor>& plan, int64_t sweeps) {
  double operations = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.layer < 0) continue;
    operations += static_cast<double>(element_count(tensor)) *
                  static_cast<double>(tensor.shape.back()) *
                  (6.0 + 2.0 * static_cast<double>(sweeps));
  }
  return operations;
}

// H of few tokens describes those tokens and not the text: GPTQ then fits noise (at 3 tokens a
// column it came out hardly better than rounding to nearest, at 20 it had 0.4 of its divergence).
constexpr int64_t kTokensPerColumn = 8;

void warn_of_little_text(pass::CheckContext& context, const std::vector<PlannedTensor>& plan,
                         int64_t tokens) {
  int64_t widest = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.layer >= 0) widest = std::max(widest, tensor.shape.back());
  }
  if (tokens >= kTokensPerColumn * widest) return;
  context.warn(base::str_cat("quantize: ", tokens, " calibration tokens are few for rows of ",
                             widest, " weights; take at least ", kTokensPerColumn * widest,
                             " (more `windows`), or method: rtn"));
}

// Rounded inputs are part of what the next pass sees.
absl::Status mark_activations(const std::vector<PlannedTensor>& plan,
                              format::Activations activations, pass::ModelInfo& model) {
  if (activations == format::Activations::kFloat) return absl::OkStatus();
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place != Place::kLayer) continue;
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(tensor.grid, tensor.shape[1]));
    FRUGAL_RETURN_IF_ERROR(base::annotate(
        format::check_activations(activations, grid->spec(), tensor.name), "quantize"));
    model.activations[tensor.name] = activations;
  }
  return absl::OkStatus();
}

absl::Status QuantizePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument(
        "quantize: '", model.name, "' is quantized already (", model.grids.begin()->first, " is ",
        model.grids.begin()->second,
        "); take the model it was made from, so that nothing is rounded twice");
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<PlannedTensor> plan,
                          plan_grids(model.config, options_.choice()));
  FRUGAL_RETURN_IF_ERROR(mark_activations(plan, options_.rounding(), model));
  if (options_.gptq() && !options_.calibrated()) {
    return base::invalid_argument(
        "quantize: method gptq needs `calibration` (an entry of data:); or set method: rtn");
  }
  int64_t tokens = 0;
  if (options_.calibrated()) {
    if (!model.has_tokenizer) {
      return base::invalid_argument(
          "quantize: '", model.name,
          "' has no tokenizer, so that the calibration text cannot be read; put tokenizer.json "
          "or tokenizer.model into its folder");
    }
    FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
    FRUGAL_ASSIGN_OR_RETURN(const auto calibration,
                            layerwise::plan_calibration(model.config, source, options_.windows));
    tokens = calibration.tokens();
  }
  if (options_.gptq()) warn_of_little_text(context, plan, tokens);
  const int64_t element_bytes = model.dtype == "F32" ? 4 : 2;
  int64_t output_bytes = 0;
  for (const PlannedTensor& tensor : plan) {
    output_bytes += tensor.grid.empty() ? element_count(tensor) * element_bytes : tensor.size_bytes;
    if (!tensor.grid.empty()) model.grids[tensor.name] = tensor.grid;
  }
  const bool drift = options_.calibrated() && options_.asymmetry().active();
  const double operations = layerwise::estimate_walk_operations(model.config, tokens, drift) +
                            (options_.gptq() ? solver_operations(plan, options_.sweeps) : 0);
  context.estimate(
      {.seconds = operations / kOperationsPerSecond,
       .peak_memory_bytes = layerwise::estimate_walk_bytes(model.config, tokens, drift),
       .output_bytes = output_bytes,
       .basis = "operations at 20 GFLOP/s (one CPU core); activations, statistics and one layer in "
                "memory"});
  model.size_bytes = output_bytes;
  return absl::OkStatus();
}

GridSolverOptions QuantizePass::solver_options(const std::vector<PlannedTensor>& plan,
                                               int64_t layer_count) const {
  GridSolverOptions result;
  result.grid = options_.grid;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place == Place::kHead) result.head_grid = tensor.grid;
  }
  result.layer_count = layer_count;
  result.method = options_.gptq() ? RoundingMethod::kGptq : RoundingMethod::kRoundToNearest;
  result.calibrated = options_.calibrated();
  result.importance = options_.importance;
  result.asymmetry = options_.asymmetry();
  result.factor.damping = options_.damping;
  result.order = options_.order == "natural" ? layerwise::ColumnOrder::kNatural
                                             : layerwise::ColumnOrder::kGroupAware;
  result.gptq.dynamic_scales = options_.scales == "dynamic";
  result.gptq.sweeps = static_cast<int>(options_.sweeps);
  result.gptq.refits = static_cast<int>(options_.refits);
  return result;
}

absl::StatusOr<text::Windows> QuantizePass::windows(pass::RunContext& context) const {
  if (!options_.calibrated()) return text::Windows{};
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input.config(), source, options_.windows));
  FRUGAL_ASSIGN_OR_RETURN(text::Windows windows, layerwise::load_calibration(input, source, plan));
  if (options_.windows.windows > windows.count) {
    context.warn(base::str_cat("calibration: the text fills ", windows.count, " windows of ",
                               windows.length, " tokens, ", options_.windows.windows,
                               " were asked for"));
  }
  return windows;
}

absl::Status QuantizePass::run(pass::RunContext& context) const {
  const format::Checkpoint& input = *context.input();
  const format::ModelConfig& config = input.config();
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<PlannedTensor> plan,
                          plan_grids(config, options_.choice()));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration, windows(context));
  const LayerStore store(context.resume_folder(),
                         base::str_cat("quantize ", info().version, " ", calibration.text_sha256));
  GridSolver solver(solver_options(plan, config.layer_count), store);
  const layerwise::WalkOptions walk{.device = device,
                                    .activations = options_.rounding(),
                                    .title = base::str_cat("quantize ", context.input_name())};
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, calibration, walk, solver));
  FRUGAL_RETURN_IF_ERROR(
      write_quantized(input, plan, options_.rounding(), store, context.output_folder()));
  return report_quantized(context, plan, store);
}

}  // namespace

std::unique_ptr<pass::Pass> make_quantize_pass() { return std::make_unique<QuantizePass>(); }

}  // namespace frugal::passes
