// The modules of a family as its files have them: fused matrices are one.
#pragma once

#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/tensors.h"
#include "artifact/packed/layout.h"

namespace frugal::artifact {

// A stored tensor and the weights that its rows are, one below the other.
struct StoredModule {
  PackedModule module;  // of a matrix; else without rows and columns
  std::vector<architecture::Tensor> parts;

  const std::vector<int64_t>& shape() const {  // as it is stored
    const architecture::Tensor& part = parts.front();
    return part.slice ? part.slice->shape : part.shape;
  }
};

// In the order of the forward.
std::vector<StoredModule> stored_modules(const architecture::ModelConfig& config);

// The name of the stored tensor that `part` lies in.
const std::string& stored_name(const architecture::Tensor& part);

}  // namespace frugal::artifact
