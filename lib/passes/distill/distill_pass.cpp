// Tested by: tests/passes/training_test.cpp
#include "passes/distill/distill_pass.h"

#include "base/text.h"
#include "model/decoder.h"
#include "passes/common/text_checks.h"
#include "passes/common/training.h"
#include "tensor/aten.h"
#include "tensor/device.h"
#include "text/tokenizer.h"

namespace frugal::passes {
namespace {

using base::invalid_argument;

// The logits of both must mean the same pieces: equal lists, not merely equal counts.
absl::Status check_same_pieces(const text::Tokenizer& student, const text::Tokenizer& teacher) {
  if (student.vocabulary().pieces == teacher.vocabulary().pieces) return absl::OkStatus();
  return invalid_argument("distill: student and teacher have different tokenizers (",
                          student.size(), " and ", teacher.size(),
                          " pieces); a teacher's logits mean nothing over other pieces");
}

class DistillPass final : public pass::Pass {
 public:
  DistillPass() {
    options_.loop.learning_rate = 1e-3;
    options_.loop.distillation_weight = 1.0;
  }

  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "distill",
                                     .version = 1,
                                     .summary =
                                         "Trains a student to match a teacher's distribution at "
                                         "every token (forward KL), mixed with "
                                         "the text itself where wished."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visitor.field(
        {.name = "teacher",
         .help = "The model whose distributions are learned (a step or an entry of models:).",
         .required = true},
        teacher_);
    visitor.field(
        {.name = "distillation_weight",
         .help = "Share of the forward KL in the loss; the rest is cross-entropy with the text.",
         .minimum = 0,
         .maximum = 1,
         .minimum_exclusive = true},
        options_.loop.distillation_weight);
    visitor.field(
        {.name = "temperature",
         .help = "Both distributions are softened by this; the KL is scaled by its square.",
         .minimum = 0,
         .maximum = 100,
         .minimum_exclusive = true},
        options_.loop.temperature);
    visit_training_options(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    FRUGAL_ASSIGN_OR_RETURN(const pass::ModelInfo teacher, context.model(teacher_));
    if (teacher.config.vocabulary_size != model.config.vocabulary_size) {
      return invalid_argument("distill: '", model.name, "' has ", model.config.vocabulary_size,
                              " vocabulary rows and its teacher '", teacher.name, "' ",
                              teacher.config.vocabulary_size, "; they must be equal");
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto own, planned_tokenizer(model, "distill"));
    FRUGAL_ASSIGN_OR_RETURN(const auto others, planned_tokenizer(teacher, "distill"));
    if (own && others) FRUGAL_RETURN_IF_ERROR(check_same_pieces(*own, *others));
    model.dtype = options_.dtype;
    model.size_bytes = model.config.parameter_count() * (options_.dtype == "F32" ? 4 : 2);
    return check_training(context, "distill", model, options_, &teacher.config);
  }

  absl::Status run(pass::RunContext& context) const override {
    FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
    const format::Checkpoint& input = *context.input();
    FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint teacher_checkpoint, context.model(teacher_));
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(input.folder()));
    FRUGAL_ASSIGN_OR_RETURN(const auto teacher_tokenizer,
                            text::shared_tokenizer(teacher_checkpoint.folder()));
    FRUGAL_RETURN_IF_ERROR(check_same_pieces(*tokenizer, *teacher_tokenizer));
    FRUGAL_ASSIGN_OR_RETURN(model::Decoder student,
                            model::Decoder::load(input, {.type = at::kFloat, .device = device}));
    FRUGAL_ASSIGN_OR_RETURN(
        const model::Decoder teacher,
        model::Decoder::load(teacher_checkpoint, {.type = at::kFloat, .device = device}));
    FRUGAL_RETURN_IF_ERROR(run_training(context, options_, *tokenizer, student, &teacher));
    return write_trained(context, options_, student, &input);
  }

 private:
  pass::ModelReference teacher_;
  TrainingOptions options_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_distill_pass() { return std::make_unique<DistillPass>(); }

}  // namespace frugal::passes
