// tokenizer_config.json, special_tokens_map.json, added_tokens.json, config.json and the chat
// template of a Hugging Face folder: which tokens are special, and what was added to the
// vocabulary.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/definition.h"

namespace frugal::text {

struct FolderTokens {
  SpecialTokens special;
  std::vector<AddedToken> added;  // by id; empty where the folder lists none
  std::string tokenizer_class;    // "Qwen2Tokenizer"; empty = not said
  std::string model_type;         // of config.json
};

// Reads what the folder has; absent files are no error. Errors: malformed files.
absl::StatusOr<FolderTokens> read_folder_tokens(const std::filesystem::path& folder);

}  // namespace frugal::text
