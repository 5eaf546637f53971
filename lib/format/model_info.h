// Metadata of a model, without any of its weights.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "architecture/model_config.h"
#include "format/activations.h"

namespace frugal::format {

// Metadata of a model as it flows through the checks of a pipeline, before any of it exists.
struct ModelInfo {
  std::string name;  // "small/q4_k"
  architecture::ModelConfig config;
  std::map<std::string, std::string, std::less<>>
      grids;  // weight name -> grid, of quantized weights
  std::map<std::string, Activations, std::less<>>
      activations;  // those of them whose inputs are rounded
  std::map<std::string, std::string, std::less<>>
      zeros;  // weight name -> pattern of its zeros ("2:4"), where it is known to have one
  std::string dtype = "F32";  // of the others
  bool has_tokenizer = false;
  // Where it can be read already; empty for one that a step before will make.
  std::filesystem::path tokenizer_folder = {};
  int64_t size_bytes = 0;  // of all weights as stored
  int64_t side_bytes = 0;  // of the files that travel with them: tokenizer, generation, templates
};

}  // namespace frugal::format
