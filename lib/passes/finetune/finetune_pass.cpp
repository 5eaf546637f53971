// Tested by: tests/passes/training_test.cpp
#include "passes/finetune/finetune_pass.h"

#include "model/decoder.h"
#include "passes/common/training.h"
#include "tensor/device.h"
#include "text/tokenizer.h"

namespace frugal::passes {
namespace {

class FinetunePass final : public pass::Pass {
 public:
  FinetunePass() { options_.loop.learning_rate = 2e-4; }

  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{.name = "finetune",
                                     .version = 1,
                                     .summary =
                                         "Trains all weights of a checkpoint further on prompts "
                                         "and completions, or plain text."};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_training_options(visitor, options_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    model.dtype = options_.dtype;
    model.size_bytes = model.config.parameter_count() * (options_.dtype == "F32" ? 4 : 2);
    return check_training(context, "finetune", model, options_, nullptr);
  }

  absl::Status run(pass::RunContext& context) const override {
    FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
    const format::Checkpoint& input = *context.input();
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(input.folder()));
    FRUGAL_ASSIGN_OR_RETURN(model::Decoder decoder,
                            model::Decoder::load(input, {.type = at::kFloat, .device = device}));
    FRUGAL_RETURN_IF_ERROR(run_training(context, options_, *tokenizer, decoder, nullptr));
    return write_trained(context, options_, decoder, &input);
  }

 private:
  TrainingOptions options_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_finetune_pass() { return std::make_unique<FinetunePass>(); }

}  // namespace frugal::passes
