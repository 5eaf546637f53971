// Where the tensors of a checkpoint will lie in its files, from what is declared, before anything
// is written. For CheckpointWriter, and for whoever looks at what it has written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "base/json.h"
#include "format/checkpoint.h"
#include "format/slices.h"
#include "grid/grid.h"

namespace frugal::format {

// A declared tensor as it will be stored.
struct PlannedTensor {
  CheckpointWriter::Tensor declared;
  std::shared_ptr<const grid::Grid> grid;  // null: floating point
  DType stored_dtype = DType::kF32;
  std::vector<int64_t> stored_shape;
  int64_t size_bytes = 0;
  size_t stored = 0;   // in CheckpointLayout::stored
  int64_t offset = 0;  // of its bytes in that
};

// A tensor of the files.
struct FileTensor {
  StoredTensor tensor;
  int64_t size_bytes = 0;
  size_t shard = 0;
  std::vector<std::byte> gathered = {};  // what has come of a fused one
  size_t parts_here = 0;
};

struct CheckpointLayout {
  std::vector<PlannedTensor> tensors;  // as declared
  std::vector<FileTensor> stored;      // as they lie in the files
  size_t shard_count = 1;
};

// Errors: the declared tensors are not the ones of `config`, each once with its shape; a matrix
// that its grid cannot hold, a type or rounded activations that cannot be stored. Each names the
// tensor.
absl::StatusOr<CheckpointLayout> lay_out(const architecture::ModelConfig& config,
                                         std::vector<CheckpointWriter::Tensor> tensors,
                                         int64_t max_shard_bytes);

// config.json of the written checkpoint: the model's, its main dtype, and what is on which grid.
base::Json config_json(const architecture::ModelConfig& config,
                       const std::vector<PlannedTensor>& tensors);

}  // namespace frugal::format
