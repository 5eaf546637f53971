// Tested by: tests/passes/smooth_test.cpp
#include "passes/smooth/smooth_pass.h"

#include <string>
#include <vector>

#include "artifact/gguf/mix.h"
#include "base/text.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/estimate.h"
#include "passes/common/calibration_options.h"
#include "passes/common/layer_gate.h"
#include "passes/common/layer_kinds.h"
#include "passes/common/machine_speed.h"
#include "passes/common/text_checks.h"
#include "passes/smooth/groups.h"
#include "passes/smooth/output.h"
#include "passes/smooth/scale_solver.h"
#include "tensor/aten.h"
#include "tensor/device.h"

namespace frugal::passes {
namespace {

struct Options {
  std::string method = "awq";
  std::string grid;
  bool duo = false;
  bool clip = false;
  double alpha = 0.5;
  pass::DataReference calibration{std::string(pass::kSelfData)};
  layerwise::CalibrationOptions windows;
  LayerGate gate;
  std::string dtype = "f32";

  bool smoothquant() const { return method == "smoothquant"; }
};

void visit_method(pass::OptionVisitor& visitor, Options& o) {
  visitor.field(
      {.name = "method",
       .help = "awq seeks scales, powers of each channel's mean input, with which rounding "
               "on `grid` loses least; smoothquant evens the inputs out for 8-bit "
               "activations.",
       .choices = {"awq", "smoothquant"}},
      o.method);
  visitor.field({.name = "grid", .help = "awq: the grid that the later quantize step will use."},
                o.grid);
  visitor.field(
      {.name = "duo_scaling",
       .help = "awq: also try scales that divide by a power of each channel's mean weight.",
       .former_names = {"duo"}},
      o.duo);
  visitor.field({.name = "clip",
                 .help = "awq: also limit the weights of each group where that lowers the error on "
                         "`grid` (never query and key); the result is then no longer equivalent."},
                o.clip);
  visitor.field({.name = "alpha",
                 .help = "smoothquant: share of the outliers that goes from inputs to weights; .5 "
                         "is the paper's, .85 was found good for Llama 2 and 3, .8 for Mistral.",
                 .minimum = 0,
                 .maximum = 1},
                o.alpha);
}

void visit_text(pass::OptionVisitor& visitor, Options& o) {
  visitor.field({.name = "calibration",
                 .help = "Text that the original model runs on for the statistics of its inputs; "
                         "self: the model writes it."},
                o.calibration);
  visit_windows(visitor, o.windows);
  visit_gate(visitor, o.gate);
  visitor.field({.name = "dtype",
                 .help = "Type of the changed weights: f32, in which the result is equivalent, or "
                         "keep, which rounds them back to the input's type.",
                 .choices = {"f32", "keep"}},
                o.dtype);
}

class SmoothPass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "smooth",
        .version = 3,
        .summary =
            "Moves scales of input channels between neighboring weights (AWQ, SmoothQuant): "
            "an equivalent model whose later rounding loses less."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_method(visitor, options_);
    visit_text(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  absl::Status check_options() const;
  absl::Status check_grid(const architecture::ModelConfig& config,
                          const std::vector<ScaleGroup>& groups) const;

  Options options_;
};

absl::Status SmoothPass::check_options() const {
  if (!options_.smoothquant() && options_.grid.empty()) {
    return base::invalid_argument(
        "smooth: method awq needs `grid`: the one that the later quantize step will use");
  }
  if (!options_.smoothquant() && artifact::is_mix(options_.grid)) {
    return base::invalid_argument(
        "smooth: grid = ", options_.grid,
        " is a mix of grids, and awq needs one: its scales are merged into neighboring weights, "
        "once for all matrices that share an input; name the grid that most matrices of the mix "
        "go to, ",
        artifact::mix_grid(options_.grid));
  }
  if (options_.smoothquant() && (options_.clip || options_.duo)) {
    return base::invalid_argument("smooth: clip and duo belong to method awq");
  }
  return absl::OkStatus();
}

absl::Status SmoothPass::check_grid(const architecture::ModelConfig& config,
                                    const std::vector<ScaleGroup>& groups) const {
  if (options_.smoothquant()) return absl::OkStatus();
  for (const ScaleGroup& group : groups) {
    if (group.left_alone) continue;
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(options_.grid, group.columns));
    FRUGAL_RETURN_IF_ERROR(grid::check_columns(grid->spec(), group.columns,
                                               architecture::stem(config, group.matrices.front())));
  }
  return absl::OkStatus();
}

absl::Status SmoothPass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument("smooth: '", model.name,
                                  "' is quantized already; smooth first, quantize afterwards");
  }
  FRUGAL_RETURN_IF_ERROR(check_options());
  FRUGAL_RETURN_IF_ERROR(
      refuse_experts(model.config, "smooth", "leave it out: quantize takes the model as it is"));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<ScaleGroup> groups, scale_groups(model.config));
  FRUGAL_RETURN_IF_ERROR(check_grid(model.config, groups));
  FRUGAL_ASSIGN_OR_RETURN(
      const layerwise::CalibrationPlan calibration,
      check_windows(context, "smooth", model, options_.calibration, options_.windows));
  FRUGAL_RETURN_IF_ERROR(check_gate(options_.gate, calibration.tokens(), "smooth"));
  double operations =
      layerwise::estimate_walk_operations(model.config, calibration.tokens(), false) +
      layerwise::estimate_attention_operations(model.config, calibration.tokens(),
                                               calibration.length);
  if (!options_.smoothquant()) {  // a product with H per ratio
    for (const architecture::Tensor& tensor : architecture::tensors(model.config)) {
      if (!tensor.is_stage_matrix()) continue;
      const auto rows = static_cast<double>(tensor.shape[0]);
      const auto columns = static_cast<double>(tensor.shape[1]);
      operations += (options_.duo ? 40 : 20) * 2 * rows * columns * columns;
    }
  }
  if (options_.dtype == "f32") {
    model.dtype = "F32";
    model.size_bytes = 4 * model.config.parameter_count();
  }
  // Of AWQ's search: H, and rounded and scaled copies of the weights.
  const auto solver = [this](const layerwise::StageShape& stage) -> int64_t {
    if (options_.smoothquant()) return 8 * stage.rows * stage.columns;
    return 4 * stage.columns * stage.columns + 24 * stage.rows * stage.columns;
  };
  layerwise::WalkDemand demand = walk_demand(options_.windows, calibration);
  if (options_.smoothquant()) demand.needs = layerwise::Needs::kMoments;
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::WalkMemory memory,
                          layerwise::walk_memory(model.config, demand, solver));
  const std::optional<double> speed =
      walk_speed(options_.windows.products(), at::Device(context.device()));
  context.estimate(
      {.seconds = with_writing(seconds_of(operations, speed), model.config, calibration,
                               at::Device(context.device())),
       .peak_memory_bytes = layerwise::process_memory() +
                            std::max(memory.total(), writing_memory(model.config, calibration)),
       .output_bytes = model.size_bytes,
       .basis = base::str_cat("operations ", speed_text(speed),
                              "; activations, statistics and one layer in memory")});
  return absl::OkStatus();
}

absl::Status SmoothPass::run(pass::RunContext& context) const {
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<ScaleGroup> groups, scale_groups(input.config()));
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input.config(), source, options_.windows));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration,
                          load_windows(context, input, device, "smooth", source, plan));
  warn_of_fewer_windows(context, "smooth", calibration, options_.windows.windows);
  const layerwise::LayerStore store(
      context.resume_folder(),
      base::str_cat("smooth ", info().version, " ", calibration.text_sha256));
  ScaleSolver solver({.groups = groups,
                      .config = input.config(),
                      .smoothquant = options_.smoothquant(),
                      .grid = options_.grid,
                      .duo = options_.duo,
                      .clip = options_.clip,
                      .alpha = options_.alpha,
                      .gate = options_.gate},
                     store);
  const layerwise::WalkOptions walk = walk_options(options_.windows, device, "smooth", context);
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, calibration, walk, solver));
  FRUGAL_RETURN_IF_ERROR(
      write_smoothed(input, groups, options_.dtype == "keep", store, context.output_folder()));
  return report_smoothed(context, store);
}

}  // namespace

std::unique_ptr<pass::Pass> make_smooth_pass() { return std::make_unique<SmoothPass>(); }

}  // namespace frugal::passes
