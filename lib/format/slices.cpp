#include "format/slices.h"

#include <algorithm>
#include <cstring>
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

// From one row of a stored tensor to the next; of a transposed one, from one of its columns.
int64_t row_elements(const architecture::Slice& slice) {
  return slice.shape.size() == 1 || slice.transposed ? 1 : slice.shape.back();
}

template <typename Element>
void transpose_elements(const StridedMatrix<const std::byte>& from, int64_t rows, int64_t columns,
                        const StridedMatrix<std::byte>& to) {
  constexpr int64_t kSize = sizeof(Element), kTile = 32;  // rows and columns stay in the cache
  for (int64_t row = 0; row < rows; row += kTile) {
    for (int64_t column = 0; column < columns; column += kTile) {
      for (int64_t r = row; r < std::min(row + kTile, rows); ++r) {
        for (int64_t c = column; c < std::min(column + kTile, columns); ++c) {
          std::memcpy(to.first + (c * to.stride + r) * kSize,
                      from.first + (r * from.stride + c) * kSize, kSize);
        }
      }
    }
  }
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

void copy_transposed(const StridedMatrix<const std::byte>& from, int64_t rows, int64_t columns,
                     int64_t size, const StridedMatrix<std::byte>& to) {
  if (size == sizeof(uint32_t)) return transpose_elements<uint32_t>(from, rows, columns, to);
  transpose_elements<uint16_t>(from, rows, columns, to);
}

absl::StatusOr<TensorInfo> cut(const TensorInfo& stored, const architecture::Tensor& tensor) {
  if (stored.shape != tensor.slice->shape) {
    return base::invalid_argument("its shape is ", shape_text(stored.shape),
                                  ", the config demands ", shape_text(tensor.slice->shape));
  }
  if (tensor.slice->transposed && !is_floating(stored.dtype)) {
    return base::unimplemented("its type is ", name(stored.dtype), ", expected F32, F16 or BF16");
  }
  const int64_t row_bytes = row_elements(*tensor.slice) * size_bytes(stored.dtype);
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
      stored.push_back({declared[i].name, declared[i].dtype, declared[i].shape, {i}, {0}, false});
      continue;
    }
    const std::vector<size_t>& parts = fused.at(slice->second.name);
    if (i != parts.back()) continue;
    StoredTensor whole{.name = slice->second.name,
                       .dtype = declared[i].dtype,
                       .shape = slice->second.shape,
                       .parts = parts,
                       .offsets = {},
                       .transposed = slice->second.transposed};
    for (const size_t part : parts) {
      if (declared[part].dtype != whole.dtype) {
        return base::invalid_argument("tensors '", declared[part].name, "' and '", declared[i].name,
                                      "' are stored as one, '", whole.name, "', but declared as ",
                                      name(declared[part].dtype), " and ", name(whole.dtype));
      }
      const architecture::Slice& place = slices.at(declared[part].name);
      whole.offsets.push_back(place.first_row * row_elements(place) * size_bytes(whole.dtype));
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
