// A checkpoint as a plain Hugging Face folder: quantized weights decoded to fp32, so that
// transformers and every other tool that knows no grid loads exactly the numbers the artifact
// stands for. The others keep their type, but where a family stores them as one with a decoded one.
#pragma once

#include <filesystem>

#include "base/status.h"
#include "format/checkpoint.h"
#include "format/checkpoint_layout.h"
#include "format/model_info.h"
#include "format/shards.h"

namespace frugal::artifact {

// `folder` must exist. Errors: those of reading and writing.
absl::Status write_plain_folder(const format::Checkpoint& checkpoint,
                                const std::filesystem::path& folder,
                                int64_t max_shard_bytes = format::kDefaultShardBytes);

// How the weights of such a model will lie in its files.
absl::StatusOr<format::CheckpointLayout> plain_layout(const format::ModelInfo& model,
                                                      int64_t max_shard_bytes);

// Compares what write_plain_folder has left in `folder` with the checkpoint. Errors: the first
// difference.
absl::Status read_back_plain_folder(const format::Checkpoint& checkpoint,
                                    const std::filesystem::path& folder);

}  // namespace frugal::artifact
