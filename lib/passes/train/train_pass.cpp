// Tested by: tests/passes/training_test.cpp
#include "passes/train/train_pass.h"

#include <memory>

#include "base/text.h"
#include "model/decoder.h"
#include "passes/common/training.h"
#include "tensor/device.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer.h"

namespace frugal::passes {
namespace {

using base::invalid_argument;

constexpr const char* kEndOfText =
    "<|endoftext|>";  // id 0 of the trained tokenizer: begins nothing, ends every document

struct Shape {
  int64_t vocabulary_size = 1024;
  std::string pre_tokenizer = "qwen2";
  int64_t hidden_size = 256;
  int64_t intermediate_size = 768;
  int64_t layers = 4;
  int64_t heads = 4;
  int64_t key_value_heads = 2;
  int64_t context_length = 512;
  int64_t experts = 0;
  int64_t experts_per_token = 2;
  bool tied_embeddings = true;
};

void visit_shape(pass::OptionVisitor& visitor, Shape& o) {
  visitor.field({.name = "vocabulary_size",
                 .help = "Pieces of the byte-level BPE tokenizer that is trained on the data.",
                 .minimum = 257},
                o.vocabulary_size);
  visitor.field({.name = "pre_tokenizer",
                 .help = "Pattern that splits text before merging.",
                 .choices = {"gpt-2", "qwen2", "llama-bpe"}},
                o.pre_tokenizer);
  visitor.field({.name = "hidden_size", .help = "Width of the residual stream.", .minimum = 8},
                o.hidden_size);
  visitor.field(
      {.name = "intermediate_size", .help = "Feed-forward neurons per layer.", .minimum = 8},
      o.intermediate_size);
  visitor.field({.name = "layers", .help = "Decoder layers.", .minimum = 1}, o.layers);
  visitor.field(
      {.name = "heads", .help = "Attention heads; hidden_size is split among them.", .minimum = 1},
      o.heads);
  visitor.field(
      {.name = "key_value_heads", .help = "Key/value heads; must divide heads.", .minimum = 1},
      o.key_value_heads);
  visitor.field({.name = "context_length",
                 .help = "Longest sequence the model is meant for.",
                 .unit = "tokens",
                 .minimum = 8},
                o.context_length);
  visitor.field({.name = "experts",
                 .help = "Feed-forwards per layer, of which each token runs through some "
                         "(Mixtral); 0 = one for all.",
                 .minimum = 2},
                o.experts);
  visitor.field({.name = "experts_per_token",
                 .help = "How many of the experts a token runs through.",
                 .minimum = 1},
                o.experts_per_token);
  visitor.field({.name = "tied_embeddings", .help = "Whether the output head is the embedding."},
                o.tied_embeddings);
}

absl::StatusOr<architecture::ModelConfig> config_of(const Shape& shape) {
  if (shape.hidden_size % shape.heads != 0 || shape.hidden_size / shape.heads % 2 != 0) {
    return invalid_argument("train: hidden_size = ", shape.hidden_size, " does not split into ",
                            shape.heads, " heads of an even size; choose a multiple of ",
                            2 * shape.heads);
  }
  if (shape.heads % shape.key_value_heads != 0) {
    return invalid_argument("train: key_value_heads = ", shape.key_value_heads,
                            " does not divide heads = ", shape.heads);
  }
  architecture::Layer layer;
  layer.before_attention = layer.before_feed_forward = {.epsilon = 1e-5};
  layer.attention.heads = shape.heads;
  layer.attention.key_value_heads = shape.key_value_heads;
  layer.attention.head_size = shape.hidden_size / shape.heads;
  layer.attention.score_scale = 1.0 / std::sqrt(static_cast<double>(layer.attention.head_size));
  layer.feed_forward.width = shape.intermediate_size;
  if (shape.experts > 0) {
    if (shape.experts_per_token > shape.experts) {
      return invalid_argument("train: experts_per_token = ", shape.experts_per_token,
                              " is more than experts = ", shape.experts);
    }
    layer.experts = architecture::Experts{shape.experts, shape.experts_per_token};
  }
  architecture::ModelConfig config = architecture::make_decoder(shape.layers, layer);
  config.vocabulary_size = shape.vocabulary_size;
  config.hidden_size = shape.hidden_size;
  config.context_length = shape.context_length;
  config.tied_embeddings = shape.tied_embeddings;
  config.bos_token_ids = {0};
  config.eos_token_ids = {0};
  return config;
}

class TrainPass final : public pass::Pass {
 public:
  const pass::PassInfo& info() const override {
    static const pass::PassInfo info{
        .name = "train",
        .version = 1,
        .summary = "Trains a tokenizer and a decoder from scratch: a Llama, or a Mixtral.",
        .input = pass::Input::kNone,
        .output = pass::Output::kCheckpoint};
    return info;
  }

  void visit_options(pass::OptionVisitor& visitor) override {
    visit_shape(visitor, shape_);
    visit_training_options(visitor, training_);
  }

  absl::Status check(pass::CheckContext& context, pass::ModelInfo& model) const override {
    FRUGAL_ASSIGN_OR_RETURN(model.config, config_of(shape_));
    model.dtype = training_.dtype;
    model.has_tokenizer = true;
    model.size_bytes = model.config.parameter_count() * (training_.dtype == "F32" ? 4 : 2);
    return check_training(context, "train", model, training_, nullptr);
  }

  absl::Status run(pass::RunContext& context) const override {
    FRUGAL_ASSIGN_OR_RETURN(const at::Device device, tensor::open_device(context.device()));
    FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, make_tokenizer(context));
    FRUGAL_ASSIGN_OR_RETURN(const architecture::ModelConfig config, config_of(shape_));
    FRUGAL_ASSIGN_OR_RETURN(model::Decoder decoder,
                            model::Decoder::create(config, context.seed(), device));
    FRUGAL_RETURN_IF_ERROR(run_training(context, training_, *tokenizer, decoder, nullptr));
    FRUGAL_RETURN_IF_ERROR(write_trained(context, training_, decoder, nullptr));
    return text::save_tokenizer(*tokenizer, context.output_folder());
  }

 private:
  absl::StatusOr<std::shared_ptr<const text::Tokenizer>> make_tokenizer(
      pass::RunContext& context) const {
    FRUGAL_ASSIGN_OR_RETURN(const text::DataSource source, context.data(training_.data));
    text::BpeTrainerOptions options;
    options.vocabulary_size = shape_.vocabulary_size;
    options.pre_tokenizer = shape_.pre_tokenizer;
    options.special = {kEndOfText};
    FRUGAL_ASSIGN_OR_RETURN(auto tokenizer, text::train_bpe(source, options));
    if (tokenizer->size() > shape_.vocabulary_size) {
      return base::internal("train: the tokenizer has ", tokenizer->size(),
                            " pieces, more than vocabulary_size = ", shape_.vocabulary_size);
    }
    return tokenizer;
  }

  Shape shape_;
  TrainingOptions training_;
};

}  // namespace

std::unique_ptr<pass::Pass> make_train_pass() { return std::make_unique<TrainPass>(); }

}  // namespace frugal::passes
