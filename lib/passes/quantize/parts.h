// What the parts of a planned model take, and where another grid stands than was asked for: what a
// plan says before anything is rounded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "passes/quantize/plan.h"

namespace frugal::passes {

struct Part {
  std::string name;  // "attention"
  std::vector<std::string>
      grids;  // each once, in the order of the tensors; "kept" for those on none
  int64_t weights = 0;
  int64_t bytes = 0;
};

// Embedding, attention, feed-forward (of experts, too), the rest, head; without those that a model
// does not have. Kept tensors take `element_bytes` a weight. `plan` is of `config`, complete.
std::vector<Part> parts_of(const std::vector<PlannedTensor>& plan,
                           const architecture::ModelConfig& config, int64_t element_bytes);
// "embedding (also the head) 30.1 MB in q8_0, attention ...".
std::string parts_text(const std::vector<Part>& parts);

// One sentence for each type that stands for another: "rows of 576 weights do not fill q4_k's
// blocks of 256: 210 matrices become q5_0, as llama-quantize has it".
std::vector<std::string> fallback_texts(const std::vector<PlannedTensor>& plan);

}  // namespace frugal::passes
