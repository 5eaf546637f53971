// The decoder as an ONNX graph, without weights: nodes, inputs, outputs, and which weight each
// initializer is. Internal to export.
#pragma once

#include <string>
#include <vector>

#include "artifact/onnx/onnx_model.h"
#include "artifact/onnx/onnx_weights.h"
#include "format/model_info.h"
#include "format/onnx.h"

namespace frugal::artifact {

// How the bytes of a streamed initializer come from the checkpoint.
enum class OnnxContent {
  kValues,
  kGains,  // of a norm: the stored values plus what the model adds to them
  kTransposed,
  kCosine,
  kSine,
  kFrequencies,
  kFrequenciesBeyond,  // of sequences longer than the first context
  kNBitsValues,
  kNBitsScales,
  kNBitsZeroPoints,
  kBlockValues,  // BlockOrder::kColumns
  kBlockScales,
  kBlockZeroPoints,
  kRowValues,  // BlockOrder::kRows
  kRowScales,
  kRowZeroPoints,
  kInt8Values,
  kInt8Scales
};

struct OnnxSource {
  std::string initializer;
  std::string weight;  // Hugging Face name; empty for the rotary tables
  OnnxContent content = OnnxContent::kValues;
  int64_t layer = 0;  // of the rotary tables: one that turns by them
  double offset = 0;  // of kGains
};

struct OnnxGraph {
  format::OnnxModel model;
  std::vector<OnnxSource>
      sources;  // in streaming order: that of the model's initializers without content
};

// Tables of cosines and sines for every position lie in the file up to this size, together; models
// of longer contexts compute them from the frequencies, as far as the tokens reach.
inline constexpr int64_t kLargestRotaryBytes = int64_t{64} << 20;
int64_t rotary_bytes(const architecture::ModelConfig& config);

// From metadata alone. Errors: a quantized weight whose grid has no layout in the operators.
absl::StatusOr<OnnxGraph> build_onnx_graph(const format::ModelInfo& model,
                                           const OnnxOptions& options);

}  // namespace frugal::artifact
