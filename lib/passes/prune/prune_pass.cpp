#include "passes/prune/prune_pass.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "layerwise/calibration.h"
#include "model/architecture.h"
#include "passes/prune/output.h"
#include "passes/prune/width_solver.h"
#include "tensor/device.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

using layerwise::NeuronScore;

constexpr double kOperationsPerSecond =
    2e10;  // of one CPU core in fp32: a rough figure for estimates only

struct Options {
  double ffn = 0.75;
  std::string score = "obs";
  bool compensate = true;
  double alpha = 1.0;
  double beta = 1.0;
  pass::DataReference calibration;
  layerwise::CalibrationOptions windows;
  int64_t multiple_of = 32;
  double damping = 0.01;

  NeuronScore neuron_score() const {
    if (score == "obs_greedy") return NeuronScore::kObsGreedy;
    if (score == "activation") return NeuronScore::kActivation;
    return score == "magnitude" ? NeuronScore::kMagnitude : NeuronScore::kObs;
  }
  bool needs_calibration() const { return compensate || score != "magnitude"; }
};

void visit_choice(pass::OptionVisitor& visitor, Options& o) {
  visitor.field({.name = "ffn",
                 .help = "Share of the feed-forward neurons that every layer keeps.",
                 .minimum = 0,
                 .maximum = 1,
                 .minimum_exclusive = true,
                 .required = true},
                o.ffn);
  visitor.field(
      {.name = "multiple_of",
       .help =
           "The kept number is rounded to a multiple of this, for grids and kernels (q4_k: 256).",
       .minimum = 1},
      o.multiple_of);
  visitor.field({.name = "score",
                 .help = "Which neurons go: obs, the least rise of the output error when the "
                         "others make up for it; "
                         "obs_greedy, the same one by one; activation, the smallest mean "
                         "activation; magnitude, the "
                         "smallest weights.",
                 .choices = {"obs", "obs_greedy", "activation", "magnitude"}},
                o.score);
}

void visit_compensation(pass::OptionVisitor& visitor, Options& o) {
  visitor.field({.name = "compensate",
                 .help = "Refit the matrix that reads the neurons by least squares, so that those "
                         "kept make up for those "
                         "removed."},
                o.compensate);
  visitor.field({.name = "alpha",
                 .help = "Share of the input drift, caused by the layers pruned before, that the "
                         "refit makes up for.",
                 .minimum = 0,
                 .maximum = 1},
                o.alpha);
  visitor.field({.name = "beta",
                 .help = "Share of the residual stream's drift that the refit makes up for.",
                 .minimum = 0,
                 .maximum = 1},
                o.beta);
  visitor.field({.name = "damping",
                 .help = "Added to the diagonal of H, as a share of its mean.",
                 .minimum = 0,
                 .maximum = 1},
                o.damping);
}

void visit_calibration(pass::OptionVisitor& visitor, Options& o) {
  visitor.field(
      {.name = "calibration",
       .help = "Text whose activations are used; only magnitude without compensation needs none."},
      o.calibration);
  visitor.field({.name = "windows",
                 .help = "Calibration windows, spread evenly over the text; 0 takes what the "
                         "data's `tokens` fill, else "
                         "128.",
                 .minimum = 0},
                o.windows.windows);
  visitor.field(
      {.name = "sequence_length",
       .help =
           "Length of a calibration window; 0 takes the data's, else 2048 or the model's context.",
       .unit = "tokens",
       .minimum = 0},
      o.windows.sequence_length);
}

absl::StatusOr<size_t> stage_named(const std::vector<model::Stage>& stages, std::string_view name) {
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].name == name) return i;
  }
  return base::unimplemented("prune: the architecture has no stage ", name);
}

class PrunePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "prune",
                                     .version = 1,
                                     .summary =
                                         "Removes feed-forward neurons, the same number in every "
                                         "layer, and refits what reads them by least "
                                         "squares."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_choice(visitor, options_);
    visit_compensation(visitor, options_);
    visit_calibration(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  absl::StatusOr<WidthSolverOptions> solver_options(const format::Checkpoint& input) const;
  absl::StatusOr<text::Windows> windows(pass::RunContext& context) const;
  int64_t kept(const format::ModelConfig& config) const {
    return layerwise::kept_neurons(config.intermediate_size, options_.ffn, options_.multiple_of);
  }

  Options options_;
};

absl::Status PrunePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (!model.grids.empty()) {
    return base::invalid_argument("prune: '", model.name,
                                  "' is quantized already; prune first, quantize afterwards");
  }
  if (options_.multiple_of > model.config.intermediate_size) {
    return base::invalid_argument("prune: multiple_of = ", options_.multiple_of,
                                  " is larger than the model's ", model.config.intermediate_size,
                                  " feed-forward neurons");
  }
  FRUGAL_RETURN_IF_ERROR(model::stages(model.config).status());
  int64_t tokens = 0;
  if (options_.needs_calibration()) {
    if (options_.calibration.name.empty()) {
      return base::invalid_argument("prune: score ", options_.score,
                                    options_.compensate ? " with compensation" : "",
                                    " needs `calibration` (an entry of data:)");
    }
    if (!model.has_tokenizer) {
      return base::invalid_argument(
          "prune: '", model.name,
          "' has no tokenizer, so that the calibration text cannot be read");
    }
    FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
    FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                            layerwise::plan_calibration(model.config, source, options_.windows));
    tokens = plan.tokens();
  }
  const int64_t before = model.config.parameter_count();
  const bool drift = options_.alpha != 0 || options_.beta != 0;
  const int64_t walk_bytes = layerwise::estimate_walk_bytes(model.config, tokens, drift);
  const double operations = layerwise::estimate_walk_operations(model.config, tokens, drift);
  model.config.intermediate_size = kept(model.config);
  const double share =
      static_cast<double>(model.config.parameter_count()) / static_cast<double>(before);
  model.size_bytes = static_cast<int64_t>(share * static_cast<double>(model.size_bytes));
  context.estimate({.seconds = operations / kOperationsPerSecond,
                    .peak_memory_bytes = walk_bytes,
                    .output_bytes = model.size_bytes,
                    .basis = "operations at 20 GFLOP/s (one CPU core); activations, statistics and "
                             "one layer in memory"});
  return absl::OkStatus();
}

absl::StatusOr<WidthSolverOptions> PrunePass::solver_options(
    const format::Checkpoint& input) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(input.config()));
  WidthSolverOptions result;
  FRUGAL_ASSIGN_OR_RETURN(result.in_stage, stage_named(stages, "mlp_in"));
  FRUGAL_ASSIGN_OR_RETURN(result.out_stage, stage_named(stages, "mlp_out"));
  FRUGAL_ASSIGN_OR_RETURN(
      const format::TensorInfo down,
      input.info(model::weight_name(0, stages[result.out_stage].matrices.front())));
  result.stored_type = tensor::scalar_type(down.dtype);
  result.keep = kept(input.config());
  result.score = options_.neuron_score();
  result.compensate = options_.compensate;
  result.asymmetry = {options_.alpha, options_.beta};
  result.factor.damping = options_.damping;
  return result;
}

absl::StatusOr<text::Windows> PrunePass::windows(pass::RunContext& context) const {
  if (!options_.needs_calibration()) return text::Windows{};
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(options_.calibration));
  FRUGAL_ASSIGN_OR_RETURN(const auto plan,
                          layerwise::plan_calibration(input.config(), source, options_.windows));
  return layerwise::load_calibration(input, source, plan);
}

absl::Status PrunePass::run(pass::RunContext& context) const {
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(const WidthSolverOptions options, solver_options(input));
  FRUGAL_ASSIGN_OR_RETURN(const text::Windows calibration, windows(context));
  const layerwise::LayerStore store(
      context.resume_folder(),
      base::str_cat("prune ", info().version, " ", calibration.text_sha256));
  WidthSolver solver(options, store);
  const layerwise::WalkOptions walk{.device = device,
                                    .title = base::str_cat("prune ", context.input_name())};
  FRUGAL_RETURN_IF_ERROR(layerwise::walk(input, calibration, walk, solver));
  FRUGAL_RETURN_IF_ERROR(write_narrowed(input, options, store, context.output_folder()));
  return report_narrowed(context, store);
}

}  // namespace

std::unique_ptr<pass::Pass> make_prune_pass() { return std::make_unique<PrunePass>(); }

}  // namespace frugal::passes
