// The tensors of a GGUF file and the weights of a model that they hold: one table for both
// directions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/tensors.h"

namespace frugal::artifact {

// Factors of rotary frequencies: of Llama 3 (rope_factors.h), and both sets of longrope.
inline constexpr std::string_view kGgufRopeFrequencies = "rope_freqs.weight";
inline constexpr std::string_view kGgufShortFactors = "rope_factors_short.weight";
inline constexpr std::string_view kGgufLongFactors = "rope_factors_long.weight";

// One tensor of the file and where it comes from.
struct GgufSource {
  std::string name;  // "blk.3.attn_q.weight"
  // The weights whose rows it holds, one below the other, or as a stack (experts); none for
  // computed tensors (rope_freqs.weight).
  std::vector<architecture::Tensor> parts;
  std::vector<int64_t> shape;  // PyTorch order
  int64_t permuted_heads = 0;  // > 0: rows go from half-split to interleaved rotary order, per head
  // Of vectors: the file holds (stored value + offset) * factor.
  double offset = 0, factor = 1;

  // llama.cpp wants every vector in fp32, and positions.
  bool is_fp32() const {
    return shape.size() < 2 || parts.front().role == architecture::Role::kPositions;
  }
};

// The file's tensors in file order.
std::vector<GgufSource> gguf_tensors(const architecture::ModelConfig& config);

// Row r of the file is row `order[r]` of the weight: Hugging Face's half-split rotary order to
// llama.cpp's interleaved one, for `heads` heads of `rows / heads` rows.
std::vector<int64_t> interleaved_row_order(int64_t rows, int64_t heads);

}  // namespace frugal::artifact
