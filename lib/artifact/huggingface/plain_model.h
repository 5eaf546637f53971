// A checkpoint as a plain Hugging Face folder: quantized weights decoded to fp32, so that
// transformers and every other tool that knows no grid loads exactly the numbers the artifact
// stands for.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "format/checkpoint.h"

namespace frugal::artifact {

absl::Status write_plain_folder(const format::Checkpoint& checkpoint,
                                const std::filesystem::path& folder);

}  // namespace frugal::artifact
