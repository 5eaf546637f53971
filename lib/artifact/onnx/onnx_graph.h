// The decoder as an ONNX graph, without weights: nodes, inputs, outputs, and which weight each
// initializer is. Internal to export.
#pragma once

#include <string>
#include <vector>

#include "artifact/onnx/onnx_model.h"
#include "artifact/onnx/onnx_weights.h"
#include "format/checkpoint.h"
#include "format/onnx.h"

namespace frugal::artifact {

// How the bytes of a streamed initializer come from the checkpoint.
enum class OnnxContent {
  kValues,
  kGains,  // of a norm: the stored values plus what the model adds to them
  kTransposed,
  kCosine,
  kSine,
  kNBitsValues,
  kNBitsScales,
  kNBitsZeroPoints,
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

// Errors: a quantized weight whose grid has no MatMulNBits layout.
absl::StatusOr<OnnxGraph> build_onnx_graph(const format::Checkpoint& checkpoint,
                                           const OnnxOptions& options);

}  // namespace frugal::artifact
