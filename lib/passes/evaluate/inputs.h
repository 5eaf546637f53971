// What an evaluation is of: models that can be asked, examples by what they ask for, and hashes of
// what was asked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "model/decoder.h"
#include "passes/common/serving.h"
#include "tasks/inputs.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::passes {

// A model that can be asked, with its tokenizer: in memory, or an artifact in its runtime.
struct LoadedModel {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  architecture::ModelConfig config;
  std::optional<model::Decoder> decoder;
  std::unique_ptr<ServedModel> served;  // then there is no decoder
};

// In fp32. Errors: those of reading weights, out of memory.
absl::StatusOr<model::Decoder> load_decoder(const format::Checkpoint& checkpoint,
                                            const at::Device& device);
// Errors: no tokenizer, or one with more ids than the model has rows.
absl::StatusOr<LoadedModel> load_without_weights(const InputModel& model);
absl::StatusOr<LoadedModel> load_model(const format::Checkpoint& checkpoint,
                                       const at::Device& device);

// Examples of one task by what they ask for.
struct ExampleTask {
  std::string name;
  std::vector<text::Example> classification, generation;
};
// `limit`: examples at most, the first ones; 0: all. Errors: an example that asks for nothing, with
// its id.
absl::StatusOr<ExampleTask> load_example_task(const std::string& name, text::DataSource source,
                                              const text::Tokenizer& tokenizer, int64_t limit);

// Of everything that an answer depends on besides the model.
std::string hash_of_questions(const std::vector<text::Example>& examples);
std::string hash_of_questions(const tasks::TaskData& task);

}  // namespace frugal::passes
