// A checkpoint as an onnxruntime-genai folder: model.onnx + model.onnx.data + genai_config.json +
// tokenizer files. The graph is the one genai's own builder emits
// (onnxruntime-genai, builder.py): GroupQueryAttention with rotary inside, simplified layer
// normalization, MatMul for float weights, MatMulNBits for integers with the checkpoint's codes,
// GatherBlockQuantized for an embedding of 4 or 8 bits, which a tied head shares; where the
// checkpoint rounds inputs to int8, standard operators around MatMulInteger.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "format/model_info.h"
#include "text/tokenizer.h"

namespace frugal::artifact {

struct OnnxOptions {
  int64_t accuracy_level = 4;     // of MatMulNBits: exporter.h
  std::vector<int64_t> eos = {};  // ids that end texts, in place of those the model names
  // ai.onnx alone (opset 23), in place of ONNX Runtime's own operators: Attention,
  // RotaryEmbedding, RMSNormalization, DequantizeLinear before MatMul. Inputs and outputs are the
  // same.
  bool standard_operators = false;
};

// Refuses from metadata what the graph cannot hold: architecture, a grid without a MatMulNBits
// layout (levels that are not consecutive integers, offsets that are no multiple of the scale,
// groups that are no power of two >= 16; standard operators take groups of any size), no tokenizer;
// and where that can be read already, one
// that does not fit the embedding or that onnxruntime-genai has no form of, and a model that names
// no end of text (genai would take id 0 for it).
absl::Status check_onnx(const format::ModelInfo& model, const OnnxOptions& options = {});

absl::Status write_onnx_folder(const format::Checkpoint& checkpoint,
                               const text::Tokenizer& tokenizer, const OnnxOptions& options,
                               const std::filesystem::path& folder);

// Compares what write_onnx_folder has left in `folder` with the checkpoint: graph, every streamed
// tensor, the files beside them. Errors: the first difference.
absl::Status read_back_onnx_folder(const format::Checkpoint& checkpoint,
                                   const text::Tokenizer& tokenizer, const OnnxOptions& options,
                                   const std::filesystem::path& folder);

}  // namespace frugal::artifact
