// generation_config.json: what a model's owner says of generating with it. Where it names a token,
// it wins over config.json, as in transformers' generate().
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "architecture/model_config.h"
#include "base/json.h"
#include "base/status.h"

namespace frugal::format {

// Puts the ids of generation_config.json in `folder` over those of `config`: bos_token_id,
// eos_token_id (one or several), pad_token_id. Absent file, absent keys and null change nothing.
// Errors: a malformed file, ids outside of the vocabulary.
absl::Status apply_generation_config(const std::filesystem::path& folder,
                                     architecture::ModelConfig& config);

// An id, a list of ids, or null under `key`; -1 is an old spelling of "none". Errors: ids outside
// of [0, vocabulary_size).
absl::StatusOr<std::vector<int64_t>> read_token_ids(const base::Json& json, std::string_view key,
                                                    int64_t vocabulary_size,
                                                    std::string_view where);

}  // namespace frugal::format
