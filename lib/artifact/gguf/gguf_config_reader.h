// The numbers of a GGUF file as a model: the other direction of hyperparameters.h.
#pragma once

#include "architecture/model_config.h"
#include "artifact/gguf/gguf_values.h"
#include "base/status.h"

namespace frugal::artifact {

// Errors, each naming the file and the key or tensor: an architecture without a family, a key that
// is missing, of another type, impossible, or changes the computation in a way that frugal does not
// have; keys of the architecture that are not known; values that contradict each other or the
// embedding.
absl::StatusOr<architecture::ModelConfig> read_gguf_config(const GgufValues& values);

}  // namespace frugal::artifact
