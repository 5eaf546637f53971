// Tested by: tests/artifact/packed_importer_test.cpp
#include <algorithm>
#include <array>

#include "artifact/packed/layout.h"
#include "base/text.h"
#include "format/checkpoint_files.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str_cat;

struct Method {
  std::string_view name;
  std::string_view own_file;  // of tools before config.json had a place for it; empty: none
  absl::StatusOr<std::unique_ptr<Layout>> (*layout)(const Json& config, std::string_view where);
};
constexpr std::array kMethods = {
    Method{"gptq", "quantize_config.json", gptq_layout},
    Method{"awq", "quant_config.json", awq_layout},
    Method{"compressed-tensors", "", compressed_tensors_layout},
};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// Under the key of transformers, or that of older compressed-tensors.
absl::StatusOr<std::optional<PackedFolder>> from_config(const fs::path& folder) {
  const fs::path file = folder / format::kConfigFile;
  FRUGAL_ASSIGN_OR_RETURN(const Json json, base::read_json(file, format::kMaxJsonBytes));
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (!json.is_object() || !json.contains(key) || !json[key].is_object()) continue;
    PackedFolder result{.config = json[key], .where = str_cat(file.string(), ": '", key, "'")};
    FRUGAL_ASSIGN_OR_RETURN(result.method, base::json_get_or<std::string>(
                                               result.config, "quant_method", "", result.where));
    return result;
  }
  return std::nullopt;
}

// A file of its own counts where the weights are packed: plain ones may have kept it.
absl::StatusOr<std::optional<PackedFolder>> from_own_file(const fs::path& folder) {
  for (const Method& method : kMethods) {
    if (method.own_file.empty() || !is_there(folder / method.own_file)) continue;
    FRUGAL_ASSIGN_OR_RETURN(const format::Weights weights, format::open_weights(folder));
    const bool packed =
        std::any_of(weights.shard_of.begin(), weights.shard_of.end(),
                    [](const auto& tensor) { return tensor.first.ends_with(".qweight"); });
    if (!packed) continue;
    const fs::path file = folder / method.own_file;
    PackedFolder result{.method = std::string(method.name), .where = file.string()};
    FRUGAL_ASSIGN_OR_RETURN(result.config, base::read_json(file, format::kMaxJsonBytes));
    FRUGAL_ASSIGN_OR_RETURN(
        result.method,
        base::json_get_or<std::string>(result.config, "quant_method", result.method, result.where));
    return result;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::optional<PackedFolder>> packed_folder(const fs::path& folder) {
  if (!is_there(folder / format::kConfigFile)) return std::nullopt;
  FRUGAL_ASSIGN_OR_RETURN(auto found, from_config(folder));
  if (!found) {
    FRUGAL_ASSIGN_OR_RETURN(found, from_own_file(folder));
  }
  if (!found) return std::nullopt;
  for (const Method& method : kMethods) {
    if (method.name == found->method) return found;
  }
  return std::nullopt;
}

absl::Status check_own_files(const fs::path& folder, const PackedFolder& found) {
  for (const Method& method : kMethods) {
    const fs::path file = folder / method.own_file;
    if (method.name != found.method || method.own_file.empty() || !is_there(file)) continue;
    FRUGAL_ASSIGN_OR_RETURN(const Json other, base::read_json(file, format::kMaxJsonBytes));
    for (const char* key : {"bits", "group_size", "desc_act", "sym", "checkpoint_format", "format",
                            "w_bit", "q_group_size", "zero_point", "version"}) {
      if (!other.is_object() || !other.contains(key) || !found.config.contains(key)) continue;
      if (other[key] == found.config[key]) continue;
      return base::invalid_argument(found.where, ": '", key, "' is ", found.config[key].dump(),
                                    ", but ", other[key].dump(), " in ", file.string(),
                                    "; remove the file that is out of date");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Layout>> layout_of(const PackedFolder& folder) {
  for (const Method& method : kMethods) {
    if (method.name == folder.method) return method.layout(folder.config, folder.where);
  }
  return base::unimplemented(folder.where, ": no layout of '", folder.method.substr(0, 80), "'");
}

}  // namespace frugal::artifact
