#include "passes/common/training.h"

#include <cmath>
#include <memory>

#include "base/file.h"
#include "base/progress.h"
#include "base/text.h"
#include "format/checkpoint_files.h"
#include "layerwise/walk/estimate.h"
#include "passes/common/machine_speed.h"
#include "passes/common/text_checks.h"
#include "passes/common/zeros.h"
#include "tensor/guard.h"
#include "text/packing.h"
#include "train/check.h"
#include "train/estimate.h"

namespace frugal::passes {
namespace {

using base::invalid_argument;

train::TrainOptions loop_options(const TrainingOptions& options, uint64_t seed) {
  train::TrainOptions loop = options.loop;
  loop.schedule = options.schedule == "linear"     ? train::Schedule::kLinear
                  : options.schedule == "constant" ? train::Schedule::kConstant
                                                   : train::Schedule::kCosine;
  loop.precision = options.precision == "fp32"   ? train::Precision::kFp32
                   : options.precision == "bf16" ? train::Precision::kBf16
                                                 : train::Precision::kAuto;
  loop.seed = seed;
  return loop;
}

// Layers and head.
double forward_operations(const architecture::ModelConfig& config, int64_t tokens,
                          int64_t sequence_length) {
  return layerwise::estimate_forward_operations(config, tokens) +
         layerwise::estimate_attention_operations(config, tokens, sequence_length) +
         2.0 * static_cast<double>(tokens) *
             static_cast<double>(config.vocabulary_size * config.hidden_size);
}

// On the disk, beside the resume state: the data may be larger than memory.
absl::StatusOr<std::unique_ptr<const text::SequenceReader>> packed(
    pass::RunContext& context, const pass::DataReference& reference, const TrainingOptions& options,
    const text::Tokenizer& tokenizer) {
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(reference));
  text::PackOptions pack;
  pack.length = options.sequence_length;
  pack.loss_on_prompt = options.loss_on_prompt;
  pack.seed = context.seed();
  return text::pack(source, tokenizer, pack, context.resume_folder());
}

base::Json number_or_null(double value) { return base::finite_or_null(value); }

void report_curve(pass::RunContext& context, const train::TrainResult& result) {
  const double tokens_per_step =
      result.steps > 0 ? static_cast<double>(result.tokens) / static_cast<double>(result.steps) : 0;
  for (const train::LossSample& sample : result.curve) {
    context.row(
        "training_curve",
        {{"step", sample.step},
         {"tokens", static_cast<int64_t>(tokens_per_step * static_cast<double>(sample.step))},
         {"loss", number_or_null(sample.loss)},
         {"cross_entropy", number_or_null(sample.cross_entropy)},
         {"divergence", number_or_null(sample.divergence)},
         {"learning_rate", number_or_null(sample.learning_rate)},
         {"gradient_norm", number_or_null(sample.gradient_norm)}});
  }
  for (const train::ValidationSample& sample : result.validation) {
    context.row(
        "training_curve",
        {{"step", sample.step},
         {"tokens", static_cast<int64_t>(tokens_per_step * static_cast<double>(sample.step))},
         {"loss", nullptr},
         {"validation_loss", number_or_null(sample.cross_entropy)}});
  }
}

void report_numbers(pass::RunContext& context, const train::TrainResult& result) {
  const auto add = [&](std::string name, double value, std::string unit, std::string help) {
    pass::Statistic statistic{
        .name = std::move(name), .unit = std::move(unit), .help = std::move(help)};
    if (std::isfinite(value)) statistic.value = value;
    context.statistic(std::move(statistic));
  };
  add("steps", static_cast<double>(result.steps), "", "Optimizer steps in all.");
  add("tokens", static_cast<double>(result.tokens), "tokens", "Positions that the loop has seen.");
  if (!result.curve.empty())
    add("training_loss", result.curve.back().loss, "nats/token",
        "Loss over the last recorded steps.");
  if (!result.validation.empty()) {
    add("validation_loss", result.validation.back().cross_entropy, "nats/token",
        "Cross-entropy on the held-out data after the last step.");
  }
  add("tokens_per_second", result.tokens_per_second, "tokens/s",
      "Training speed of this session, validation and checkpoints excluded.");
}

}  // namespace

void visit_training_options(pass::OptionVisitor& visitor, TrainingOptions& o) {
  visitor.field({.name = "data", .help = "What to learn (an entry of data:).", .required = true},
                o.data);
  visitor.field(
      {.name = "validation", .help = "Held-out data whose loss is recorded; empty: none."},
      o.validation);
  visitor.field(
      {.name = "steps", .help = "Optimizer steps; 0 takes `tokens` instead.", .minimum = 0},
      o.loop.steps);
  visitor.field({.name = "tokens",
                 .help = "Tokens to see in all, rounded up to whole steps; used where steps = 0.",
                 .unit = "tokens",
                 .minimum = 0},
                o.loop.tokens);
  visitor.field({.name = "sequence_length",
                 .help = "Length of a packed training sequence.",
                 .unit = "tokens",
                 .minimum = 2},
                o.sequence_length);
  visitor.field({.name = "batch_sequences", .help = "Sequences of one forward.", .minimum = 1},
                o.loop.batch_sequences);
  visitor.field({.name = "gradient_accumulation",
                 .help = "Forwards per optimizer step.",
                 .minimum = 1,
                 .former_names = {"accumulation"}},
                o.loop.accumulation);
  visitor.field({.name = "learning_rate",
                 .help = "Peak learning rate of AdamW.",
                 .minimum = 0,
                 .maximum = 1,
                 .minimum_exclusive = true},
                o.loop.learning_rate);
  visitor.field({.name = "warmup_steps",
                 .help = "Steps over which the rate rises linearly to its peak.",
                 .minimum = 0},
                o.loop.warmup_steps);
  visitor.field({.name = "schedule",
                 .help = "How the rate falls after the warm-up.",
                 .choices = {"cosine", "linear", "constant"}},
                o.schedule);
  visitor.field({.name = "final_rate_share",
                 .help = "Rate of the last step over the peak (cosine, linear).",
                 .minimum = 0,
                 .maximum = 1},
                o.loop.final_rate_share);
  visitor.field({.name = "weight_decay",
                 .help = "Decoupled weight decay, on matrices only.",
                 .minimum = 0,
                 .maximum = 1},
                o.loop.weight_decay);
  visitor.field({.name = "max_gradient_norm",
                 .help = "Largest global norm of the gradient; larger ones are clipped, 0 does not "
                         "clip.",
                 .minimum = 0,
                 .former_names = {"clip"}},
                o.loop.clip);
  visitor.field({.name = "precision",
                 .help = "auto multiplies in bf16 where the device does so natively, else in fp32; "
                         "weights, optimizer and loss are fp32 always.",
                 .choices = {"auto", "fp32", "bf16"},
                 .is_precision = true},
                o.precision);
  visitor.field(
      {.name = "loss_on_prompt",
       .help = "Whether tokens of a prompt count in the loss, besides those of the completion."},
      o.loss_on_prompt);
  visitor.field({.name = "validate_every",
                 .help = "Steps between validations; 0: only after the last step.",
                 .minimum = 0},
                o.loop.validate_every);
  visitor.field(
      {.name = "keep_best",
       .help = "End with the weights of the best validation loss instead of the last ones."},
      o.loop.keep_best);
  visitor.field({.name = "checkpoint_every",
                 .help = "Steps between resume files; 0: only when interrupted.",
                 .minimum = 0},
                o.loop.checkpoint_every);
  visitor.field(
      {.name = "dtype", .help = "Type of the written weights.", .choices = {"F32", "BF16"}},
      o.dtype);
}

absl::Status check_training(pass::CheckContext& context, std::string_view pass,
                            pass::ModelInfo& model, const TrainingOptions& options,
                            const architecture::ModelConfig* teacher) {
  if (!model.grids.empty()) {
    return invalid_argument(
        "'", model.name,
        "' is quantized, and exact codes cannot be trained; train first and quantize afterwards, "
        "or "
        "train its decoded weights: frugal export MODEL --format huggingface --out FOLDER");
  }
  if (!model.has_tokenizer)
    return invalid_argument("'", model.name,
                            "' has no tokenizer, so that the training text cannot be read");
  if (options.sequence_length > model.config.context_length) {
    return invalid_argument("sequence_length = ", options.sequence_length,
                            " is longer than the context of '", model.name, "' (",
                            model.config.context_length, " tokens)");
  }
  if (options.loop.keep_best && options.validation.name.empty()) {
    return invalid_argument(
        "keep_best needs `validation`: without held-out data there is no best step");
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, planned_tokenizer(model, pass));
  for (const pass::DataReference& reference : {options.data, options.validation}) {
    if (reference.name.empty()) continue;
    FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(reference));
    FRUGAL_RETURN_IF_ERROR(check_examples(source, tokenizer.get(),
                                          base::str_cat(pass, ": data '", reference.name, "'")));
  }
  if (options.loop.steps == 0 && options.loop.tokens > 0 &&
      options.loop.tokens < options.sequence_length) {
    return invalid_argument("tokens = ", options.loop.tokens, " is less than one sequence of ",
                            options.sequence_length, "; in millions? Then it is written ",
                            options.loop.tokens, "M");
  }
  const train::TrainOptions loop = loop_options(options, 0);
  FRUGAL_ASSIGN_OR_RETURN(const train::Precision precision,
                          train::resolve_precision(loop.precision, at::Device(context.device())));
  FRUGAL_ASSIGN_OR_RETURN(const int64_t steps, train::planned_steps(loop, options.sequence_length));
  const int64_t tokens = steps * loop.batch_sequences * loop.accumulation * options.sequence_length;
  lose_zeros(
      context, pass, model, [](const std::string&) { return true; },
      "training moves every weight, and the zeros are lost; train first, prune afterwards");
  double operations = 3 * forward_operations(model.config, tokens, options.sequence_length);
  if (teacher != nullptr)
    operations += forward_operations(*teacher, tokens, options.sequence_length);
  const std::optional<double> speed =
      training_speed(precision == train::Precision::kBf16, at::Device(context.device()));
  context.estimate(
      {.seconds = seconds_of(operations, speed),
       .peak_memory_bytes =
           layerwise::process_memory() +
           train::training_memory(model.config, loop, options.sequence_length, precision, teacher)
               .total(),
       .output_bytes = model.size_bytes,
       .basis =
           base::str_cat("6 operations for each weight that a token meets, ", speed_text(speed),
                         "; 16 bytes for each trained parameter, and what the graph of one "
                         "forward keeps")});
  return absl::OkStatus();
}

absl::Status run_training(pass::RunContext& context, const TrainingOptions& options,
                          const text::Tokenizer& tokenizer, model::Decoder& student,
                          const model::Decoder* teacher) {
  FRUGAL_ASSIGN_OR_RETURN(const auto data, packed(context, options.data, options, tokenizer));
  std::unique_ptr<const text::SequenceReader> held_out;
  if (!options.validation.name.empty()) {
    FRUGAL_ASSIGN_OR_RETURN(held_out, packed(context, options.validation, options, tokenizer));
  }
  const train::TrainOptions loop = loop_options(options, context.seed());
  FRUGAL_ASSIGN_OR_RETURN(const int64_t steps, train::planned_steps(loop, options.sequence_length));
  base::Progress progress(teacher == nullptr ? "train" : "distill", "steps", steps);
  FRUGAL_ASSIGN_OR_RETURN(const train::TrainResult result,
                          train::train(student, teacher, *data, held_out.get(), loop,
                                       context.resume_folder(), &progress));
  report_curve(context, result);
  report_numbers(context, result);
  return absl::OkStatus();
}

absl::Status write_trained(pass::RunContext& context, const TrainingOptions& options,
                           const model::Decoder& decoder, const format::Checkpoint* source) {
  FRUGAL_ASSIGN_OR_RETURN(const format::DType dtype, format::parse_dtype(options.dtype));
  FRUGAL_RETURN_IF_ERROR(decoder.save(context.output_folder(), dtype));
  if (source == nullptr) return absl::OkStatus();
  return format::copy_side_files(source->folder(), context.output_folder());
}

}  // namespace frugal::passes
