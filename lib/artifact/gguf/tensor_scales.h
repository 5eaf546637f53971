// Tensor scales in GGUF files: what a whole matrix is meant times, which NVFP4's blocks have no
// room for. llama.cpp looks for it beside the matrix ("blk.3.attn_q.scale" beside
// "blk.3.attn_q.weight"), one number of fp32, one for each expert of a stack, and multiplies the
// product by it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/gguf/gguf_tensors.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/model_info.h"

namespace frugal::artifact {

struct GgufScale {
  std::string name;           // of its tensor
  std::vector<float> values;  // as many as numbers in it
};

// The name of the tensor with the scales of the matrix that is called `weight` in the file.
std::string gguf_scale_name(std::string_view weight);

// Name of the grid that a weight lies on; empty: on none.
using GridOfWeight = std::function<std::string(const std::string& weight)>;
GridOfWeight grid_of_weight(const format::ModelInfo& model);        // which must outlive it
GridOfWeight grid_of_weight(const format::Checkpoint& checkpoint);  // likewise

// The tensors of scales that `sources` of a model need, in their order. Errors: a tensor scale of
// an embedding or a head, or of an architecture whose graph in llama.cpp passes it over, with the
// remedy.
absl::StatusOr<std::vector<GgufScale>> gguf_tensor_scales(const architecture::ModelConfig& config,
                                                          const std::vector<GgufSource>& sources,
                                                          const GridOfWeight& grid_of);

// The tensor scale of each part of `source`; where the file has none, 1. Errors: a tensor of scales
// of another type or size, scales that are no positive numbers.
absl::StatusOr<std::vector<float>> read_gguf_scales(const format::GgufFile& file,
                                                    const GgufSource& source);

}  // namespace frugal::artifact
