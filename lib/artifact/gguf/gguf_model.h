// A checkpoint as GGUF for llama.cpp: metadata, tokenizer, tensor names and the row order of q and
// k. Codes go into the file as they are; nothing is rounded again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/model_info.h"
#include "text/tokenizer.h"

namespace frugal::artifact {

using GgufMetadata = std::vector<std::pair<std::string, format::GgufValue>>;

// One tensor of the file and where it comes from.
struct GgufSource {
  std::string name;            // "blk.3.attn_q.weight"
  std::string weight;          // Hugging Face name; empty for computed tensors (rope_freqs.weight)
  std::vector<int64_t> shape;  // PyTorch order
  int64_t permuted_heads = 0;  // > 0: rows go from half-split to interleaved rotary order, per head
};

// Refuses, from metadata alone, what GGUF or llama.cpp cannot hold: architecture, a grid without a
// layout there.
absl::Status check_gguf(const format::ModelInfo& model);

// The file's tensors in file order.
std::vector<GgufSource> gguf_tensors(const format::ModelConfig& config);

// Metadata of model and tokenizer. `file_type` as llama.cpp numbers them. Errors: duplicate pieces,
// unknown pre-tokenizer, more pieces than embedding rows.
absl::StatusOr<GgufMetadata> gguf_metadata(const format::ModelConfig& config,
                                           const text::Tokenizer& tokenizer, std::string_view name,
                                           uint32_t file_type, bool quantized);

// llama.cpp's number of the type that most weights have ("q4_k", "F32").
uint32_t gguf_file_type(std::string_view most_common_type);

// Row r of the result is row `order[r]` of the source: Hugging Face's half-split rotary order to
// llama.cpp's interleaved one, for `heads` heads of `rows / heads` rows.
std::vector<int64_t> interleaved_row_order(int64_t rows, int64_t heads);

// Writes the whole file. Errors as above, and those of reading and writing.
absl::Status write_gguf(const format::Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                        std::string_view name, const std::filesystem::path& path);

}  // namespace frugal::artifact
