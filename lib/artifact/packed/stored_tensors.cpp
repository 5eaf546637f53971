// Tested by: tests/artifact/packed_importer_test.cpp
#include "artifact/packed/stored_tensors.h"

#include <algorithm>

#include "base/text.h"
#include "format/convert.h"

namespace frugal::artifact {

const format::TensorInfo* StoredTensors::find(std::string_view name) const {
  const auto shard = weights_.shard_of.find(name);
  if (shard == weights_.shard_of.end()) return nullptr;
  return &weights_.shards[shard->second].tensors().find(name)->second;
}

StoredView StoredTensors::view(std::string_view name) const {
  const auto& shard = weights_.shards[weights_.shard_of.find(name)->second];
  const format::TensorInfo& info = shard.tensors().find(name)->second;
  return {&info, shard.bytes(info)};
}

std::vector<std::string> StoredTensors::names() const {
  std::vector<std::string> names;
  for (const auto& [name, shard] : weights_.shard_of) names.push_back(name);
  return names;
}

absl::StatusOr<StoredView> StoredTensors::want(std::string_view name,
                                               std::initializer_list<format::DType> types,
                                               const std::vector<std::vector<int64_t>>& shapes,
                                               std::string_view why) const {
  std::vector<std::string> type_names, shape_texts;
  for (const format::DType type : types) type_names.emplace_back(format::name(type));
  for (const auto& shape : shapes) shape_texts.push_back(format::shape_text(shape));
  const std::string expected =
      base::str_cat(base::join(type_names, " or "), " ", base::join(shape_texts, " or "));
  if (!has(name)) {
    return base::invalid_argument(where_, ": the tensor '", name, "' is missing; ", why,
                                  " needs it as ", expected);
  }
  const StoredView found = view(name);
  if (std::find(types.begin(), types.end(), found.info->dtype) != types.end() &&
      std::find(shapes.begin(), shapes.end(), found.info->shape) != shapes.end())
    return found;
  return base::invalid_argument(
      where_, ": the tensor '", name, "' is ", format::name(found.info->dtype), " ",
      format::shape_text(found.info->shape), ", but ", why, " needs ", expected);
}

std::vector<float> StoredTensors::floats(const StoredView& view) {
  std::vector<float> values(static_cast<size_t>(view.info->element_count()));
  format::convert_to_f32(view.info->dtype, view.bytes, values.data());
  return values;
}

}  // namespace frugal::artifact
