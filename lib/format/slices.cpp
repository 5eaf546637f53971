#include "format/slices.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace frugal::format {
namespace {

int64_t count(const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (const int64_t dimension : shape) elements *= dimension;
  return elements;
}

// What is stored as rows of a larger tensor, by its own name.
using Slices = std::map<std::string, architecture::Slice, std::less<>>;
Slices slices_of(const architecture::ModelConfig& config) {
  Slices slices;
  for (architecture::Tensor& tensor : architecture::tensors(config)) {
    if (tensor.slice) slices.emplace(std::move(tensor.name), *std::move(tensor.slice));
  }
  return slices;
}

}  // namespace

absl::StatusOr<TensorInfo> cut(const TensorInfo& stored, const architecture::Tensor& tensor) {
  if (stored.shape != tensor.slice->shape) {
    return base::invalid_argument("its shape is ", shape_text(stored.shape),
                                  ", the config demands ", shape_text(tensor.slice->shape));
  }
  const int64_t row_bytes = stored.shape.back() * size_bytes(stored.dtype);
  return TensorInfo{.name = tensor.name,
                    .dtype = stored.dtype,
                    .shape = tensor.shape,
                    .offset = stored.offset + tensor.slice->first_row * row_bytes,
                    .size_bytes = count(tensor.shape) * size_bytes(stored.dtype)};
}

absl::StatusOr<std::vector<StoredTensor>> stored_tensors(
    const architecture::ModelConfig& config, const std::vector<DeclaredTensor>& declared) {
  const Slices slices = slices_of(config);
  std::map<std::string, std::vector<size_t>> fused;  // by stored name: declared parts
  std::set<std::string> apart;                       // stored names with a part on a grid
  for (size_t i = 0; i < declared.size(); ++i) {
    const auto slice = slices.find(declared[i].name);
    if (slice == slices.end()) continue;
    fused[slice->second.name].push_back(i);
    if (declared[i].on_grid) apart.insert(slice->second.name);
  }
  std::vector<StoredTensor> stored;
  for (size_t i = 0; i < declared.size(); ++i) {
    const auto slice = slices.find(declared[i].name);
    if (slice == slices.end() || apart.contains(slice->second.name)) {
      stored.push_back({declared[i].name, declared[i].dtype, declared[i].shape, {i}, {0}});
      continue;
    }
    const std::vector<size_t>& parts = fused.at(slice->second.name);
    if (i != parts.back()) continue;
    StoredTensor whole{slice->second.name, declared[i].dtype, slice->second.shape, parts, {}};
    for (const size_t part : parts) {
      if (declared[part].dtype != whole.dtype) {
        return base::invalid_argument("tensors '", declared[part].name, "' and '", declared[i].name,
                                      "' are stored as one, '", whole.name, "', but declared as ",
                                      name(declared[part].dtype), " and ", name(whole.dtype));
      }
      whole.offsets.push_back(slices.at(declared[part].name).first_row * whole.shape.back() *
                              size_bytes(whole.dtype));
    }
    stored.push_back(std::move(whole));
  }
  return stored;
}

void widen_fused(const architecture::ModelConfig& config,
                 std::vector<CheckpointWriter::Tensor>& declared) {
  const Slices slices = slices_of(config);
  std::map<std::string, std::set<DType>> types;  // by stored name, of plain parts
  const auto each_part = [&](const auto& action) {
    for (CheckpointWriter::Tensor& tensor : declared) {
      const auto slice = slices.find(tensor.name);
      if (slice != slices.end() && !tensor.grid) action(tensor, types[slice->second.name]);
    }
  };
  each_part([](const auto& tensor, std::set<DType>& of) { of.insert(tensor.dtype); });
  each_part([](auto& tensor, const std::set<DType>& of) {
    if (of.size() > 1) tensor.dtype = DType::kF32;
  });
}

}  // namespace frugal::format
