// The weight files of a model folder, whatever its tensors are: one, or shards with an index.
#pragma once

#include <cstddef>
#include <cstdint>
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

// What a shard of safetensors takes at most where nobody says otherwise.
inline constexpr int64_t kDefaultShardBytes = int64_t{5} << 30;

// Deals tensors out to shards in their order: one that would bring its shard above `max_bytes`
// begins the next, and one that is larger by itself has a shard of its own.
class ShardDealer {
 public:
  explicit ShardDealer(int64_t max_bytes) : max_bytes_(max_bytes) {}
  // The shard, counted from 0, of the next tensor.
  size_t deal(int64_t bytes);
  size_t count() const { return shard_ + 1; }  // 1 before anything was dealt

 private:
  int64_t max_bytes_;
  size_t shard_ = 0;
  int64_t filled_ = 0;
};

// "model.safetensors", or "model-00002-of-00007.safetensors"; `shard` counts from 0.
std::string shard_name(size_t shard, size_t count);

}  // namespace frugal::format
