// What train, distill and finetune share: options of the loop, data as packed sequences, the run,
// its numbers, the checkpoint.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "model/decoder.h"
#include "pass/pass.h"
#include "text/tokenizer.h"
#include "train/trainer.h"

namespace frugal::passes {

struct TrainingOptions {
  pass::DataReference data;
  pass::DataReference validation;
  int64_t sequence_length = 256;  // tokens
  bool loss_on_prompt = false;
  std::string schedule = "cosine";
  std::string precision = "auto";
  std::string dtype = "F32";  // of the written weights
  train::TrainOptions loop;   // schedule and precision above win
};

void visit_training_options(pass::OptionVisitor& visitor, TrainingOptions& options);

// Refuses what cannot be trained, and estimates time and memory. `teacher` may be null.
absl::Status check_training(pass::CheckContext& context, std::string_view pass,
                            pass::ModelInfo& model, const TrainingOptions& options,
                            const architecture::ModelConfig* teacher);

// Loads and packs the data, trains `student` in place (resuming an interrupted run of the same
// step), and reports the curve and the numbers. `teacher` may be null.
absl::Status run_training(pass::RunContext& context, const TrainingOptions& options,
                          const text::Tokenizer& tokenizer, model::Decoder& student,
                          const model::Decoder* teacher);

// Writes `decoder` and the side files of `source` (may be null) as the step's output.
absl::Status write_trained(pass::RunContext& context, const TrainingOptions& options,
                           const model::Decoder& decoder, const format::Checkpoint* source);

}  // namespace frugal::passes
