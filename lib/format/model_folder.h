// What a path is that was given as a model and is none, and what to do about it: adapters, files of
// other formats, unfinished downloads, a folder too high.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace frugal::format {

// For a path that is no folder with config.json: an error that says what it is.
absl::Status explain_no_model(const std::filesystem::path& path);

// For a model folder without model.safetensors and index: an error that names what is there instead
// (PyTorch files, GGUF, shards without index, an unfinished download).
absl::Status explain_no_weights(const std::filesystem::path& folder);

// Refuses a folder that holds a LoRA adapter, alone or beside a model: what is loaded would not be
// what its owner runs.
absl::Status refuse_adapter(const std::filesystem::path& folder);

// Tensor names that tell how the weights came to be stored as they are: adapters that were not
// merged, another tool's packed weights, wrappers that left a prefix. Empty where they tell
// nothing.
std::string explain_tensor_names(const std::vector<std::string>& names);

// "; its download has not finished (x.incomplete)"; empty where nothing says so.
std::string unfinished_download(const std::filesystem::path& folder);

}  // namespace frugal::format
