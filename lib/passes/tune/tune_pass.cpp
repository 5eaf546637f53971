// Tested by: tests/passes/tune_test.cpp
#include "passes/tune/tune_pass.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/text.h"
#include "layerwise/walk/calibration.h"
#include "layerwise/walk/estimate.h"
#include "model/decoder.h"
#include "passes/common/calibration_options.h"
#include "passes/common/machine_speed.h"
#include "passes/common/scale_tuning.h"
#include "passes/common/text_checks.h"
#include "tensor/device.h"
#include "train/scale_tuning.h"

namespace frugal::passes {
namespace {

using base::invalid_argument;
using text::Windows;

struct TuneOptions {
  pass::ModelReference original;
  pass::DataReference data;
  pass::DataReference validation;
  layerwise::CalibrationOptions windows{.windows = 512, .sequence_length = 0};
  int64_t validation_windows = 16;
  train::ScaleTuningOptions loop;
};

void visit_text(pass::OptionVisitor& visitor, TuneOptions& o) {
  visitor.field(
      {.name = "original",
       .help =
           "The unquantized model whose distributions are matched (a step or an entry of models:).",
       .required = true},
      o.original);
  visitor.field(
      {.name = "data",
       .help =
           "Text to tune on; fresh text, more than calibration took, is what holds on unseen text.",
       .required = true},
      o.data);
  visitor.field(
      {.name = "validation",
       .help = "Held-out text that chooses the step to keep; empty: windows held out of `data`."},
      o.validation);
  visitor.field(
      {.name = "windows", .help = "Windows to tune on, spread evenly over the text.", .minimum = 1},
      o.windows.windows);
  visitor.field(
      {.name = "validation_windows", .help = "Windows that choose the step to keep.", .minimum = 1},
      o.validation_windows);
  visitor.field(
      {.name = "sequence_length",
       .help = "Length of a window; 0 takes the data's, else 2048 or the model's context.",
       .unit = "tokens",
       .minimum = 0},
      o.windows.sequence_length);
  visit_precision(visitor, o.windows);
}

void visit_loop(pass::OptionVisitor& visitor, train::ScaleTuningOptions& o) {
  visitor.field({.name = "steps", .help = "Steps of Adam.", .minimum = 1}, o.steps);
  visitor.field({.name = "tokens_per_step",
                 .help = "Tokens of a step, rounded up to whole windows.",
                 .unit = "tokens",
                 .minimum = 1},
                o.tokens_per_step);
  visitor.field({.name = "learning_rate",
                 .help = "Largest relative change of a scale in a step; falls along a cosine to 0.",
                 .minimum = 0,
                 .maximum = 1,
                 .minimum_exclusive = true},
                o.learning_rate);
  visitor.field({.name = "warmup_steps",
                 .help = "Steps over which the rate rises to its peak.",
                 .minimum = 0},
                o.warmup_steps);
  visitor.field(
      {.name = "offsets", .help = "Train the offsets of affine grids as well as the scales."},
      o.parts.offsets);
  visitor.field(
      {.name = "sub_scales",
       .help = "K types: train each group's integer sub-scale besides the block's super-scale."},
      o.parts.sub_scales);
  visitor.field({.name = "validations",
                 .help = "How often the divergence on held-out windows is measured.",
                 .minimum = 1},
                o.validations);
}

// The windows of both texts: [0] to tune on, [1] to choose by.
absl::StatusOr<std::pair<layerwise::CalibrationPlan, layerwise::CalibrationPlan>> plan_windows(
    const architecture::ModelConfig& config, const text::DataSource& data,
    const text::DataSource* validation, const TuneOptions& o) {
  layerwise::CalibrationOptions wanted = o.windows;
  if (validation == nullptr) wanted.windows += o.validation_windows;
  FRUGAL_ASSIGN_OR_RETURN(const auto tuning, layerwise::plan_calibration(config, data, wanted));
  wanted = {.windows = o.validation_windows, .sequence_length = tuning.length};
  FRUGAL_ASSIGN_OR_RETURN(
      const auto held_out,
      layerwise::plan_calibration(config, validation == nullptr ? data : *validation, wanted));
  return std::pair{tuning, held_out};
}

// What a configuration means, without what else its file said (a quantized checkpoint lists its
// grids there).
base::Json plain_json(architecture::ModelConfig config) {
  config.source = base::Json();
  return architecture::to_json(config);
}

absl::StatusOr<train::QuantizedMatrices> read_matrices(const format::Checkpoint& checkpoint) {
  train::QuantizedMatrices matrices;
  for (const auto& [name, entry] : checkpoint.quantized()) {
    FRUGAL_ASSIGN_OR_RETURN(matrices[name], checkpoint.codes(name));
  }
  return matrices;
}

// `input` with the parameters of `matrices`, whose codes must be the input's.
absl::Status write_tuned(const format::Checkpoint& input, const train::QuantizedMatrices& matrices,
                         const std::filesystem::path& folder) {
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const std::string& name : input.tensor_names()) {
    const auto found = matrices.find(name);
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(name));
    if (found == matrices.end()) {
      tensors.push_back({name, info.dtype, info.shape, std::nullopt});
      continue;
    }
    const grid::QuantizedMatrix& matrix = found->second;
    tensors.push_back({name, info.dtype, {matrix.rows, matrix.columns}, matrix.grid->spec().name});
  }
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, input.config(), tensors));
  for (const format::CheckpointWriter::Tensor& tensor : tensors) {
    if (!tensor.grid) {
      FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(tensor.name));
      FRUGAL_RETURN_IF_ERROR(writer.write(tensor.name, bytes));
      continue;
    }
    const grid::QuantizedMatrix& matrix = matrices.find(tensor.name)->second;
    FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix before, input.codes(tensor.name));
    if (before.codes != matrix.codes)
      return base::internal(tensor.name, ": tuning scales changed its codes");
    FRUGAL_RETURN_IF_ERROR(writer.write_codes(tensor.name, matrix));
  }
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  return writer.finish();
}

// What is on grids: a byte per code, and parameters.
TuningDemand tuned_weights(const pass::ModelInfo& model) {
  TuningDemand demand;
  for (const architecture::Tensor& tensor : architecture::tensors(model.config)) {
    if (!model.grids.contains(tensor.name)) continue;
    const int64_t count = tensor.shape[0] * tensor.shape[1];
    demand.weights += count;
    demand.largest = std::max(demand.largest, count);
  }
  demand.code_bytes = demand.weights + demand.weights / 8;
  return demand;
}

class TunePass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "tune",
        .version = 3,
        .summary =
            "Trains the scales of a quantized checkpoint, its codes frozen, so that "
            "its distributions come closer to the original's (KL)."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_text(visitor, options_);
    visit_loop(visitor, options_.loop);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override;
  absl::Status run(pass::RunContext& context) const override;

 private:
  struct Texts {
    Windows tuning, validation;
  };
  absl::StatusOr<Texts> load_texts(pass::RunContext& context) const;

  TuneOptions options_;
};

absl::Status TunePass::check(pass::CheckContext& context, pass::ModelInfo& model) const {
  if (model.grids.empty()) {
    return invalid_argument("tune: '", model.name,
                            "' is not quantized: it has no scales to tune; quantize it first");
  }
  if (!model.activations.empty()) {
    return invalid_argument(
        "tune: '", model.name, "' rounds the inputs of ", model.activations.size(), " matrices (",
        model.activations.begin()->first, ", ...) to ",
        format::name(model.activations.begin()->second),
        ", and rounding has no gradient: its scales would be tuned for inputs that are not "
        "rounded; quantize with activations: none to tune");
  }
  FRUGAL_ASSIGN_OR_RETURN(const pass::ModelInfo original, context.model(options_.original));
  if (!original.grids.empty()) {
    return invalid_argument("tune: the original '", original.name, "' is quantized itself (",
                            original.grids.begin()->first, " is ", original.grids.begin()->second,
                            "); name the model that '", model.name, "' was made from");
  }
  if (plain_json(original.config) != plain_json(model.config)) {
    return invalid_argument("tune: '", model.name, "' and its original '", original.name,
                            "' have different configurations; name the model that was quantized");
  }
  if (!model.has_tokenizer) {
    return invalid_argument("tune: '", model.name,
                            "' has no tokenizer, so that the text cannot be read; put "
                            "tokenizer.json or tokenizer.model into its folder");
  }
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource data, context.data(options_.data));
  text::DataSource validation;
  const bool separate = !options_.validation.name.empty();
  if (separate) {
    FRUGAL_ASSIGN_OR_RETURN(validation, context.data(options_.validation));
  }
  FRUGAL_ASSIGN_OR_RETURN(
      const auto plans,
      plan_windows(model.config, data, separate ? &validation : nullptr, options_));
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, planned_tokenizer(model, "tune"));
  // Without `validation` one window is held out of the text.
  FRUGAL_RETURN_IF_ERROR(check_fills_window(data, tokenizer.get(),
                                            plans.first.length * (separate ? 1 : 2), "tune: data"));
  if (separate) {
    FRUGAL_RETURN_IF_ERROR(
        check_fills_window(validation, tokenizer.get(), plans.second.length, "tune: validation"));
  }
  TuningDemand demand = tuned_weights(model);
  demand.own_student = true;
  demand.window_tokens = plans.first.length;
  demand.windows = plans.first.windows - (separate ? 0 : plans.second.windows);
  demand.validation_windows = plans.second.windows;
  demand.loop = options_.loop;
  demand.threads = at::get_num_threads();
  const std::optional<double> speed =
      walk_speed(model::Precision::kFloat32, at::Device(context.device()));
  context.estimate(
      {.seconds = with_writing(seconds_of(tuning_operations(model.config, demand), speed),
                               model.config, plans.first, at::Device(context.device())),
       .peak_memory_bytes = layerwise::process_memory() +
                            std::max(writing_memory(model.config, plans.first),
                                     demand.code_bytes + tuning_memory(model.config, demand)),
       .output_bytes = model.size_bytes,
       .basis = base::str_cat("operations ", speed_text(speed),
                              "; memory: this process, both models decoded, codes, and a window of "
                              "each thread, on the CPU")});
  return absl::OkStatus();
}

absl::StatusOr<TunePass::Texts> TunePass::load_texts(pass::RunContext& context) const {
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource data, context.data(options_.data));
  text::DataSource other;
  const bool separate = !options_.validation.name.empty();
  if (separate) {
    FRUGAL_ASSIGN_OR_RETURN(other, context.data(options_.validation));
  }
  FRUGAL_ASSIGN_OR_RETURN(
      const auto plans, plan_windows(input.config(), data, separate ? &other : nullptr, options_));
  Texts texts;
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  FRUGAL_ASSIGN_OR_RETURN(texts.tuning,
                          load_windows(context, input, device, "tune", data, plans.first));
  warn_of_fewer_windows(context, "tune", texts.tuning, plans.first.windows);
  if (separate) {
    FRUGAL_ASSIGN_OR_RETURN(texts.validation,
                            load_windows(context, input, device, "tune", other, plans.second));
    return texts;
  }
  if (texts.tuning.count < 2) {
    return invalid_argument(
        "tune: the text fills ", texts.tuning.count, " window of ", texts.tuning.length,
        " tokens, and one must be held out; give more text, `validation`, or a shorter "
        "sequence_length");
  }
  layerwise::CalibrationSplit split = layerwise::split_windows(
      texts.tuning, 0, std::min(options_.validation_windows, texts.tuning.count / 2),
      texts.tuning.count);
  return Texts{std::move(split.fresh), std::move(split.held_out)};
}

absl::Status TunePass::run(pass::RunContext& context) const {
  FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
  const format::Checkpoint& input = *context.input();
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint source, context.model(options_.original));
  FRUGAL_ASSIGN_OR_RETURN(const Texts texts, load_texts(context));
  FRUGAL_ASSIGN_OR_RETURN(const model::Decoder original,
                          model::Decoder::load(source, {.device = device}));
  FRUGAL_ASSIGN_OR_RETURN(model::Decoder student, model::Decoder::load(input, {.device = device}));
  FRUGAL_ASSIGN_OR_RETURN(train::QuantizedMatrices matrices, read_matrices(input));
  train::ScaleTuningOptions loop = options_.loop;
  loop.seed = context.seed();
  loop.precision = options_.windows.products();
  base::Progress progress(base::str_cat("tune ", context.input_name()), "steps", loop.steps);
  FRUGAL_ASSIGN_OR_RETURN(
      const train::ScaleTuningResult result,
      train::tune_scales(original, student, matrices, texts.tuning, texts.validation, loop,
                         context.resume_folder(), &progress));
  FRUGAL_RETURN_IF_ERROR(write_tuned(input, matrices, context.output_folder()));
  report_tuning(context, result);
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<pass::Pass> make_tune_pass() { return std::make_unique<TunePass>(); }

}  // namespace frugal::passes
