#include "format/shards.h"

#include <algorithm>
#include <cstdio>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "format/checkpoint_files.h"
#include "format/model_folder.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;

absl::StatusOr<std::map<std::string, std::string>> read_weight_map(const fs::path& index) {
  FRUGAL_ASSIGN_OR_RETURN(const Json json, base::read_json(index, kMaxJsonBytes));
  FRUGAL_ASSIGN_OR_RETURN(const Json map, base::json_get<Json>(json, "weight_map", index.string()));
  if (!map.is_object() || map.empty()) {
    return base::invalid_argument(index.string(),
                                  ": 'weight_map' must be an object with at least one tensor");
  }
  std::map<std::string, std::string> file_of;
  for (const auto& [name, file] : map.items()) {
    const bool is_text = file.is_string();
    const std::string file_name = is_text ? file.get<std::string>() : "";
    // A bare name: an index from elsewhere must not reach outside its folder.
    if (!is_text || file_name.empty() || file_name == "." || file_name == ".." ||
        file_name.find_first_of("/\\") != std::string::npos) {
      return base::invalid_argument(
          index.string(), ": tensor '", name,
          "' must be mapped to the bare name of a file in the same folder");
    }
    file_of[name] = file_name;
  }
  return file_of;
}

absl::StatusOr<Weights> open_single(const fs::path& file) {
  Weights weights;
  FRUGAL_ASSIGN_OR_RETURN(SafetensorsFile shard, SafetensorsFile::open(file));
  for (const auto& [name, info] : shard.tensors()) weights.shard_of[name] = 0;
  weights.shards.push_back(std::move(shard));
  return weights;
}

absl::Status check_shards_are_there(const fs::path& folder, const std::set<std::string>& files) {
  std::vector<std::string> missing;
  std::error_code ignored;
  for (const std::string& file : files) {
    if (!fs::exists(folder / file, ignored)) missing.push_back(file);
  }
  if (missing.empty()) return absl::OkStatus();
  const size_t count = missing.size();
  missing.resize(std::min<size_t>(count, 4));
  return base::not_found((folder / kIndexFile).string(), ": of its ", files.size(), " shards ",
                         count, count == 1 ? " is" : " are",
                         " not there: ", base::join(missing, ", "),
                         count > missing.size() ? ", …" : "", "; download the rest of the model",
                         unfinished_download(folder));
}

absl::StatusOr<Weights> open_sharded(const fs::path& folder) {
  const fs::path index = folder / kIndexFile;
  FRUGAL_ASSIGN_OR_RETURN(const auto file_of, read_weight_map(index));
  std::set<std::string> files;
  for (const auto& [name, file] : file_of) files.insert(file);
  FRUGAL_RETURN_IF_ERROR(check_shards_are_there(folder, files));
  Weights weights;
  for (const std::string& file : files) {
    absl::StatusOr<SafetensorsFile> shard = SafetensorsFile::open(folder / file);
    if (!shard.ok()) {
      return base::annotate(shard.status(),
                            base::str_cat("shard '", file, "' that ", index.string(), " names"));
    }
    for (const auto& [name, info] : shard->tensors()) {
      const auto mapped = file_of.find(name);
      if (mapped == file_of.end() || mapped->second != file) {
        return base::data_loss(
            index.string(), ": shard '", file, "' holds tensor '", name, "', which the index ",
            mapped == file_of.end() ? "does not list" : "places in '",
            mapped == file_of.end() ? "" : mapped->second, mapped == file_of.end() ? "" : "'",
            "; index and shards are not of one model");
      }
      weights.shard_of[name] = weights.shards.size();
    }
    weights.shards.push_back(*std::move(shard));
  }
  for (const auto& [name, file] : file_of) {
    if (weights.shard_of.contains(name)) continue;
    return base::data_loss(index.string(), ": tensor '", name, "' should be in shard '", file,
                           "' and is not there");
  }
  return weights;
}

}  // namespace

absl::StatusOr<Weights> open_weights(const std::filesystem::path& folder) {
  std::error_code ignored;
  const bool single = fs::exists(folder / kSingleFile, ignored);
  const bool sharded = fs::exists(folder / kIndexFile, ignored);
  if (single && sharded) {
    return base::invalid_argument(folder.string(), ": both '", kSingleFile, "' and '", kIndexFile,
                                  "' are here; remove the one that is out of date");
  }
  if (single) return open_single(folder / kSingleFile);
  if (sharded) return open_sharded(folder);
  return explain_no_weights(folder);
}

size_t ShardDealer::deal(int64_t bytes) {
  if (filled_ > 0 && bytes > max_bytes_ - filled_) {
    ++shard_;
    filled_ = 0;
  }
  filled_ += bytes;
  return shard_;
}

std::string shard_name(size_t shard, size_t count) {
  if (count == 1) return std::string(kSingleFile);
  char text[64];
  std::snprintf(text, sizeof(text), "model-%05zu-of-%05zu.safetensors", shard + 1, count);
  return text;
}

}  // namespace frugal::format
