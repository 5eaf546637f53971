// A GGUF file against the checkpoint that it was written from.
#pragma once

#include <filesystem>
#include <string_view>

#include "artifact/gguf/gguf_tokenizer.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "text/tokenizer.h"

namespace frugal::artifact {

// As write_gguf was called. Metadata must be equal; of tensors, blocks and numbers that lie in the
// checkpoint as in the file byte for byte, others as decoded. Errors: the first difference; a file
// that our reader refuses.
absl::Status read_back_gguf(const format::Checkpoint& checkpoint, const text::Tokenizer& tokenizer,
                            std::string_view name, const std::filesystem::path& path,
                            const GgufOptions& options = {});

}  // namespace frugal::artifact
