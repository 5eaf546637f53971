// A checkpoint as GGUF for llama.cpp: metadata, tokenizer, tensor names and the row order of q and
// k. Codes go into the file as they are; nothing is rounded again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "artifact/gguf/gguf_tensors.h"
#include "artifact/gguf/gguf_tokenizer.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/model_info.h"
#include "text/tokenizer.h"

namespace frugal::artifact {

// Refuses, before anything runs, what GGUF or llama.cpp cannot hold: architecture, a grid without a
// layout there, and where the tokenizer can be read already everything that gguf_metadata refuses.
absl::Status check_gguf(const format::ModelInfo& model, const GgufOptions& options = {});

// Metadata of model and tokenizer. `file_type` as llama.cpp numbers them. Errors: duplicate pieces,
// unknown pre-tokenizer, more pieces than embedding rows; each names what it is about.
absl::StatusOr<GgufMetadata> gguf_metadata(const architecture::ModelConfig& config,
                                           const text::Tokenizer& tokenizer, std::string_view name,
                                           uint32_t file_type, bool quantized,
                                           const GgufOptions& options = {});

// What llama.cpp divides each rotary frequency by, [R / 2]: the tensor `name` that is computed.
std::vector<float> gguf_rope_factors(const architecture::ModelConfig& config,
                                     std::string_view name);

// How many files write_gguf leaves (format::gguf_part). Errors: as writing.
absl::StatusOr<size_t> gguf_part_count(const format::Checkpoint& checkpoint,
                                       const GgufOptions& options);

// Writes the whole file, or all its parts. Errors as above, and those of reading and writing.
absl::Status write_gguf(const format::Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                        std::string_view name, const std::filesystem::path& path,
                        const GgufOptions& options = {});

}  // namespace frugal::artifact
