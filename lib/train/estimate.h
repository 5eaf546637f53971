// What training takes, before it runs.
#pragma once

#include <cstdint>

#include "architecture/model_config.h"
#include "train/trainer.h"

namespace frugal::train {

// Bytes at the moment of the peak, between the forward and the backward of a step.
struct TrainingMemory {
  // Weights, gradients and both moments in fp32; the best weights so far where they are kept; the
  // teacher; in bf16 the matrices once more.
  int64_t state = 0;
  int64_t activations = 0;  // what the graph of one forward keeps for the backward
  // Logits of a chunk of tokens with their gradients, the gradients of head and embedding, and the
  // hidden states in front of the head.
  int64_t head = 0;
  int64_t total() const { return state + activations + head; }
};

// Of sequences of `length` tokens, on the CPU; `precision` is kFp32 or kBf16 (check.h). Experts are
// taken to get equal shares. `teacher` may be null. Beside it lies whatever the process holds.
TrainingMemory training_memory(const architecture::ModelConfig& config, const TrainOptions& options,
                               int64_t length, Precision precision,
                               const architecture::ModelConfig* teacher);

}  // namespace frugal::train
