// generation_config.json: what a model's owner says of generating with it. Where it names a token,
// it wins over config.json, as in transformers' generate().
#pragma once

#include <filesystem>

#include "architecture/model_config.h"
#include "base/status.h"

namespace frugal::format {

// Puts the ids of generation_config.json in `folder` over those of `config`: bos_token_id,
// eos_token_id (one or several), pad_token_id. Absent file, absent keys and null change nothing.
// Errors: a malformed file, ids outside of the vocabulary.
absl::Status apply_generation_config(const std::filesystem::path& folder,
                                     architecture::ModelConfig& config);

}  // namespace frugal::format
