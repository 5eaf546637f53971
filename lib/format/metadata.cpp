#include "format/metadata.h"

#include <algorithm>

namespace frugal::format {
namespace {

std::string weight_dtype(const Checkpoint& checkpoint) {
  std::map<std::string, int64_t> bytes;
  for (const std::string& name : checkpoint.tensor_names()) {
    if (checkpoint.quantized().contains(name)) continue;
    const auto info = checkpoint.info(name);
    if (info.ok()) bytes[std::string(format::name(info->dtype))] += info->size_bytes;
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "F32" : most->first;
}

}  // namespace

ModelInfo metadata_of(const Checkpoint& checkpoint) {
  ModelInfo info;
  info.name = checkpoint.folder().filename().string();
  info.config = checkpoint.config();
  for (const auto& [tensor, entry] : checkpoint.quantized()) {
    info.grids[tensor] = entry.grid;
    if (entry.activations != Activations::kFloat) info.activations[tensor] = entry.activations;
  }
  info.dtype = weight_dtype(checkpoint);
  info.size_bytes = checkpoint.weight_bytes();
  return info;
}

}  // namespace frugal::format
