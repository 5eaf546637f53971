// Tested by: tests/passes/evaluate_inputs_test.cpp
#include "passes/evaluate/inputs.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "passes/evaluate/options.h"

namespace frugal::passes {

absl::StatusOr<model::Decoder> load_decoder(const format::Checkpoint& checkpoint,
                                            const at::Device& device) {
  return model::Decoder::load(checkpoint, {.type = at::kFloat, .device = device});
}

absl::StatusOr<LoadedModel> load_without_weights(const InputModel& model) {
  LoadedModel loaded{.tokenizer = nullptr, .config = model.config, .decoder = {}, .served = {}};
  FRUGAL_ASSIGN_OR_RETURN(loaded.tokenizer, text::shared_tokenizer(model.folder));
  FRUGAL_RETURN_IF_ERROR(
      text::check_fits(*loaded.tokenizer, loaded.config.vocabulary_size, model.folder.string()));
  return loaded;
}

absl::StatusOr<LoadedModel> load_model(const format::Checkpoint& checkpoint,
                                       const at::Device& device) {
  FRUGAL_ASSIGN_OR_RETURN(LoadedModel loaded,
                          load_without_weights({checkpoint.config(), checkpoint.folder()}));
  FRUGAL_ASSIGN_OR_RETURN(loaded.decoder, load_decoder(checkpoint, device));
  return loaded;
}

absl::StatusOr<ExampleTask> load_example_task(const std::string& name, text::DataSource source,
                                              const text::Tokenizer& tokenizer, int64_t limit) {
  if (limit > 0) source.limit = source.limit > 0 ? std::min(source.limit, limit) : limit;
  FRUGAL_ASSIGN_OR_RETURN(const auto examples, text::load_examples(source, tokenizer));
  ExampleTask task{name, {}, {}};
  for (const text::Example& example : examples) {
    if (!example.label_texts.empty()) {
      task.classification.push_back(example);
    } else if (can_be_generated(example)) {
      task.generation.push_back(example);
    } else {
      return base::invalid_argument("task '", name, "': example '", example.id,
                                    "' has neither labels nor attributes nor a prompt with a "
                                    "completion; give the data labels or templates, or use it for "
                                    "perplexity");
    }
  }
  return task;
}

namespace {

void add_example(base::KeyHasher& hasher, const text::Example& example) {
  hasher.add(example.id).add(example.prompt).add(example.completion).add(example.label);
  for (const std::string& label : example.label_texts) hasher.add(label);
  hasher.add(example.chat ? "|chat" : "|");
  for (const std::string& attribute : example.attributes) hasher.add(attribute);
  hasher.add("|");
}

}  // namespace

std::string hash_of_questions(const std::vector<text::Example>& examples) {
  base::KeyHasher hasher;
  for (const text::Example& example : examples) add_example(hasher, example);
  return hasher.hex();
}

std::string hash_of_questions(const tasks::TaskData& task) {
  base::KeyHasher hasher;
  hasher.add(task.config.written.dump());
  for (const tasks::Question& question : task.questions) {
    hasher.add(question.id).add(question.context).add(question.target.dump());
    for (const std::string& continuation : question.continuations) hasher.add(continuation);
    hasher.add("|");
  }
  return hasher.hex();
}

}  // namespace frugal::passes
