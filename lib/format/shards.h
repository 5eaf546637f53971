// The weight files of a model folder, whatever its tensors are: one, or shards with an index.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "format/safetensors.h"

namespace frugal::format {

struct Weights {
  std::vector<SafetensorsFile> shards;
  std::map<std::string, size_t, std::less<>> shard_of;  // by tensor
};

// Errors: no weights, or two sets of them; index and shards that do not agree; a damaged file.
absl::StatusOr<Weights> open_weights(const std::filesystem::path& folder);

// "model.safetensors", or "model-00002-of-00007.safetensors"; `shard` counts from 0.
std::string shard_name(size_t shard, size_t count);

}  // namespace frugal::format
