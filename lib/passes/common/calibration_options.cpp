#include "passes/common/calibration_options.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "layerwise/walk/self_text.h"
#include "passes/common/machine_speed.h"
#include "passes/common/text_checks.h"

namespace frugal::passes {
namespace {

pass::OptionInfo windows_info() {
  return {
      .name = "windows",
      .help =
          "Calibration windows, spread evenly over the text; 0 takes what the data's "
          "`tokens` fill, else 24 tokens for each column of the widest matrix (for an expert so "
          "many that its share of them is as large), 262,144 at most.",
      .minimum = 0};
}

void visit_other_windows(pass::OptionVisitor& visitor, layerwise::CalibrationOptions& options) {
  visitor.field({.name = "sequence_length",
                 .help = "Length of a calibration window; 0 takes the data's, else 2048 or the "
                         "model's context.",
                 .unit = "tokens",
                 .minimum = 0},
                options.sequence_length);
  visit_precision(visitor, options);
  visitor.field(
      {.name = "activation_memory",
       .help = "Calibration activations kept in the device's memory; those beyond it go to a "
               "file in the run's folder, of a GPU to the host's memory, with the same "
               "result. 0 keeps all.",
       .unit = "bytes",
       .minimum = 1 << 20},  // the default, 0, can be written in spite of it
      options.activation_memory);
  visitor.field({.name = "min_expert_tokens",
                 .help = "Of a mixture of experts: stop where an expert gets fewer calibration "
                         "tokens. 0 goes on with what expert_blend makes of it; at expert_blend: 0 "
                         "an expert without tokens is then rounded by its weights alone, where "
                         "quantize has a grid; a size target and other passes need one.",
                 .unit = "tokens",
                 .minimum = 0},
                options.min_expert_tokens);
  visitor.field({.name = "expert_blend",
                 .help = "Of a mixture of experts: statistics of an expert with n tokens are "
                         "blended with those of all tokens, in the share m / (m + n), m being this "
                         "many tokens per column, where n is below 2 m. Experts with more keep "
                         "their own, and at 0 all do.",
                 .unit = "tokens per column",
                 .minimum = 0},
                options.expert_blend);
}

}  // namespace

void visit_precision(pass::OptionVisitor& visitor, layerwise::CalibrationOptions& options) {
  visitor.field(
      {.name = "calibration_precision",
       .help = "Of products over calibration tokens. rounded: factors in bfloat16 on CPUs "
               "that multiply them twice as fast (AVX512-BF16), in TF32 on CUDA, sums in "
               "fp32; fp32 elsewhere.",
       .choices = {"rounded", "fp32"},
       .is_precision = true},
      options.precision);
}

void visit_windows(pass::OptionVisitor& visitor, layerwise::CalibrationOptions& options) {
  visitor.field(windows_info(), options.windows);
  visit_other_windows(visitor, options);
}

void visit_windows(pass::OptionVisitor& visitor, std::optional<int64_t>& windows,
                   std::string_view otherwise, layerwise::CalibrationOptions& options) {
  pass::OptionInfo info = windows_info();
  info.otherwise = otherwise;
  visitor.field(info, windows);
  visit_other_windows(visitor, options);
}

absl::StatusOr<layerwise::CalibrationPlan> check_windows(
    pass::CheckContext& context, std::string_view pass, const pass::ModelInfo& model,
    const pass::DataReference& calibration, const layerwise::CalibrationOptions& options) {
  if (!model.has_tokenizer) {
    return base::invalid_argument(pass, ": '", model.name,
                                  "' has no tokenizer, so that the calibration text cannot be "
                                  "read; put tokenizer.json or tokenizer.model into its folder");
  }
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(calibration));
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::CalibrationPlan plan,
                          layerwise::plan_calibration(model.config, source, options));
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, planned_tokenizer(model, pass));
  FRUGAL_RETURN_IF_ERROR(check_fills_window(source, tokenizer.get(), plan.length,
                                            base::str_cat(pass, ": calibration")));
  if (source.self) {
    context.note(
        base::str_cat(pass, ": the model writes its own calibration text, ", plan.windows,
                      " windows of ", plan.length,
                      " tokens; with text of its later use beside it (a mix; on the command line "
                      "FILE,self) it comes out better"));
  }
  return plan;
}

// Measured on SmolLM2-135M, 4 bits, calibrated on an encyclopedia: on C++ code the divergence was
// 2.7 times that at home, with half of the text written by the model 1.6 times.
absl::Status warn_of_one_text(pass::CheckContext& context, std::string_view pass,
                              const pass::DataReference& calibration) {
  FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(calibration));
  // What is built in is made for models of its own.
  if (source.self || !source.mix.empty() || !source.builtin.empty()) return absl::OkStatus();
  context.warn(base::str_cat(
      pass, ": all calibration text is from one source, '", calibration.name,
      "'; weights are fitted to it, and on text of other kinds the gain is smaller. Mix in others, "
      "or text that the model writes: mix: {",
      calibration.name, ": 1, self: 1}, on the command line FILE,self"));
  return absl::OkStatus();
}

absl::StatusOr<text::Windows> load_windows(const pass::RunContext& context,
                                           const format::Checkpoint& input,
                                           const at::Device& device, std::string_view pass,
                                           const text::DataSource& source,
                                           const layerwise::CalibrationPlan& plan) {
  return layerwise::load_calibration(input, source, plan,
                                     {.device = device,
                                      .folder = context.resume_folder(),
                                      .title = base::str_cat(pass, " ", context.input_name())});
}

namespace {

// Windows that the model writes.
int64_t written(const layerwise::CalibrationPlan& plan) {
  return static_cast<int64_t>(std::ceil(plan.self_share * static_cast<double>(plan.windows)));
}

}  // namespace

int64_t writing_memory(const architecture::ModelConfig& config,
                       const layerwise::CalibrationPlan& plan) {
  return layerwise::self_text_memory(config, written(plan), plan.length);
}

double writing_operations(const architecture::ModelConfig& config,
                          const layerwise::CalibrationPlan& plan) {
  return layerwise::self_text_operations(config, written(plan) * plan.length);
}

std::optional<double> with_writing(std::optional<double> seconds,
                                   const architecture::ModelConfig& config,
                                   const layerwise::CalibrationPlan& plan,
                                   const at::Device& device) {
  const double operations = writing_operations(config, plan);
  if (!seconds || operations == 0) return seconds;
  return *seconds + *seconds_of(operations, writing_speed(device));
}

layerwise::WalkDemand walk_demand(const layerwise::CalibrationOptions& options,
                                  const layerwise::CalibrationPlan& plan) {
  return {.tokens = plan.tokens(),
          .window_tokens = std::max<int64_t>(1, plan.length),
          .precision = options.products(),
          .expert_blend = options.expert_blend,
          .spill_bytes = options.activation_memory,
          .threads = at::get_num_threads()};
}

layerwise::WalkOptions walk_options(const layerwise::CalibrationOptions& options,
                                    const at::Device& device, std::string_view pass,
                                    const pass::RunContext& context) {
  return {.device = device,
          .min_expert_tokens = std::max<int64_t>(
              options.min_expert_tokens, pass == "quantize" || options.expert_blend > 0 ? 0 : 1),
          .expert_blend = options.expert_blend,
          .precision = options.products(),
          .spill_bytes = options.activation_memory,
          .spill_folder = context.resume_folder(),
          .title = base::str_cat(pass, " ", context.input_name())};
}

}  // namespace frugal::passes
