// Text that a model writes itself, to be calibrated on without a file: drawn from the model's own
// distribution (temperature 1), as for data-free quantization (LLM-QAT, Liu et al. 2023). Each
// window begins with a piece drawn evenly from the vocabulary, behind the token that begins every
// text where the model has one, so that windows differ in kind: prose, code, lists, other
// languages.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "architecture/model_config.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::layerwise {

struct SelfTextOptions {
  int64_t windows = 0;
  int64_t length = 0;  // tokens of a window, the first one counted; at least 4
  uint64_t seed = 1;
  at::Device device = at::kCPU;
  // Holds what is written so far, batch by batch; a later call with the same options goes on behind
  // it and ends with the same text. Empty: nothing is kept.
  std::filesystem::path file = {};
  std::string title = "calibration text";  // of the progress line
};

// Loads the whole model. The text's hash is of its ids. Errors: windows longer than the model's
// context; logits that are no numbers; an interrupt; the file cannot be written.
absl::StatusOr<text::Windows> write_self_text(const format::Checkpoint& checkpoint,
                                              const text::Tokenizer& tokenizer,
                                              const SelfTextOptions& options);

// Bytes that writing takes at its peak beside the process, and its floating-point operations.
int64_t self_text_memory(const architecture::ModelConfig& config, int64_t windows, int64_t length);
double self_text_operations(const architecture::ModelConfig& config, int64_t tokens);

}  // namespace frugal::layerwise
