// general.file_type of a GGUF file: llama.cpp's number of the type or mix that the matrices of the
// layers are stored in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/roles.h"

namespace frugal::artifact {

// A matrix of a layer as it stands in the file.
struct StoredMatrix {
  int64_t layer = 0;
  architecture::Role role = architecture::Role::kQuery;
  int64_t columns = 0;
  int64_t elements = 0;
  std::string type = {};  // GGUF grid ("q4_k") or element type ("F32")
};

// The number of the type where all matrices share one; of the mix (mix.h) where they stand as it
// would put them; else of the type that most elements have: a label that names less than the file
// holds rather than more.
uint32_t gguf_file_type(const std::vector<StoredMatrix>& matrices,
                        const architecture::ModelConfig& config);

}  // namespace frugal::artifact
