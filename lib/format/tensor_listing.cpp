#include "format/tensor_listing.h"

#include <utility>

#include "format/inspect_text.h"

namespace frugal::format {

using base::Json;

void TensorListing::add(std::string_view name, Json shape, const std::string& type,
                        int64_t parameters, int64_t bytes) {
  tensors_.push_back(
      {{"name", printable(name)}, {"shape", std::move(shape)}, {"type", type}, {"bytes", bytes}});
  Sum& sum = sums_[type];
  ++sum.tensors;
  sum.parameters += parameters;
  sum.bytes += bytes;
}

Json TensorListing::describe(std::string_view kind, const std::filesystem::path& path,
                             Json architecture) && {
  Sum total;
  Json types = Json::object();
  for (const auto& [type, sum] : sums_) {
    types[type] = {{"tensors", sum.tensors}, {"parameters", sum.parameters}, {"bytes", sum.bytes}};
    total.parameters += sum.parameters;
    total.bytes += sum.bytes;
  }
  Json json;
  json["kind"] = kind;
  json["path"] = printable(path.string());
  json["architecture"] = std::move(architecture);
  json["parameters"] = total.parameters;
  json["weight_bytes"] = total.bytes;
  json["bits_per_weight"] = nullptr;
  if (total.parameters > 0) {
    json["bits_per_weight"] =
        8.0 * static_cast<double>(total.bytes) / static_cast<double>(total.parameters);
  }
  json["types"] = std::move(types);
  json["tensors"] = std::move(tensors_);
  return json;
}

}  // namespace frugal::format
