// Fused and stacked tensors of a checkpoint: which stored tensor holds the rows of which others.
#pragma once

#include <cstdint>
#include <vector>

#include "architecture/tensors.h"
#include "base/status.h"
#include "format/checkpoint.h"
#include "format/safetensors.h"

namespace frugal::format {

// The rows of `stored` that `tensor` is, or, where they are its columns, from the first element on.
// Errors: the stored shape is not the slice's;
// columns of something else than floating-point numbers.
absl::StatusOr<TensorInfo> cut(const TensorInfo& stored, const architecture::Tensor& tensor);

// A matrix of elements of `size` bytes (2 or 4), its rows as many elements apart as `stride` says.
template <typename Byte>
struct StridedMatrix {
  Byte* first = nullptr;
  int64_t stride = 0;
};
// to[c][r] = from[r][c] for `rows` times `columns` elements of `from`.
void copy_transposed(const StridedMatrix<const std::byte>& from, int64_t rows, int64_t columns,
                     int64_t size, const StridedMatrix<std::byte>& to);

// A tensor of the files to be written: one declared tensor, or all parts of a fused one.
struct StoredTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<size_t> parts;     // indices of the declared tensors, in their order
  std::vector<int64_t> offsets;  // in bytes, of each part's first element
  bool transposed = false;       // the parts' rows are columns here
};

// How tensors that are declared with these types and shapes, as each would be stored by itself, lie
// in the files: plain parts of a fused tensor together, where the last of them is declared; what
// has a part on a grid apart. Errors: plain parts of different types.
struct DeclaredTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  bool on_grid = false;
};
absl::StatusOr<std::vector<StoredTensor>> stored_tensors(
    const architecture::ModelConfig& config, const std::vector<DeclaredTensor>& declared);

// Declares plain parts of one tensor as fp32, which holds all other types, where theirs differ.
void widen_fused(const architecture::ModelConfig& config,
                 std::vector<CheckpointWriter::Tensor>& declared);

}  // namespace frugal::format
