// The tensors of a GGUF file as weights of a checkpoint: the other direction of gguf_model.h.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "artifact/gguf/gguf_tensors.h"
#include "artifact/gguf/gguf_values.h"
#include "base/status.h"
#include "format/checkpoint.h"

namespace frugal::artifact {

// A tensor of the file and the weights that its rows become.
struct GgufImport {
  GgufSource source;
  const format::GgufTensor* tensor = nullptr;  // in the file
  // As CheckpointWriter takes them, by part of the source. Codes on a grid of the house stay on it;
  // vectors are fp32.
  std::vector<format::CheckpointWriter::Tensor> declared;
  // By part, of blocks whose tensor scale is one that no grid of ours has: decoded to fp32.
  std::vector<float> tensor_scales = {};
};

// What becomes of every tensor, in file order. Errors: a tensor of the model that the file lacks or
// has in another shape, with the numbers that demand it; one that the model does not have; a type
// of ggml without a grid of ours. Each is named. Reads no data.
absl::StatusOr<std::vector<GgufImport>> plan_gguf_weights(const GgufValues& values,
                                                          const architecture::ModelConfig& config);

// Moves the data: rows of queries and keys back in place, gains of norms as the family stores them,
// blocks of codes byte for byte. One tensor at a time; `moved` hears of the bytes of each. Errors:
// NaN and infinity, blocks that no grid has written, an interruption.
absl::Status write_gguf_weights(const GgufValues& values, const std::vector<GgufImport>& imports,
                                format::CheckpointWriter& writer,
                                const std::function<void(int64_t)>& moved);

}  // namespace frugal::artifact
