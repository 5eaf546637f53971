// The weights of a packed folder as those of a checkpoint: codes where a grid of the house holds
// them, floats else.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "artifact/packed/layout.h"
#include "artifact/packed/stored_tensors.h"
#include "base/status.h"
#include "format/checkpoint.h"

namespace frugal::artifact {

// A stored tensor of the family and the weights that its rows become.
struct PackedImport {
  PackedModule module;
  std::vector<architecture::Tensor> parts;
  std::vector<std::string> tensors;  // of the files, that it is made of
  std::string type;                  // for people: "4-bit integers, groups of 128", "F16"
  bool packed = false;
  GridChoice choice;  // of packed ones
  // As CheckpointWriter takes them, one for each part.
  std::vector<format::CheckpointWriter::Tensor> declared;
};

// Of the family: "model.layers.0.self_attn.qkv_proj.weight".
const std::string& stored_name(const PackedImport& import);
const std::vector<int64_t>& stored_shape(const PackedImport& import);

struct PackedPlan {
  std::vector<PackedImport> imports;  // in the order of the forward
  int64_t zero_biases = 0;            // stored biases of zeros that the model does not have
  // Matrices whose inputs the folder rounds to int8, which no grid holds exactly.
  int64_t inputs_left = 0;
};

// What becomes of every tensor. Errors: packed tensors that contradict the config, the folder's or
// the model's; tensors that are missing, of another shape, or not the model's. Reads scales and
// zero points, no codes.
absl::StatusOr<PackedPlan> plan_packed_weights(const StoredTensors& tensors, const Layout& layout,
                                               const architecture::ModelConfig& config);

// Moves the data, one weight at a time; `moved` hears of each.
absl::Status write_packed_weights(const StoredTensors& tensors, const Layout& layout,
                                  const PackedPlan& plan, format::CheckpointWriter& writer,
                                  const std::function<void()>& moved);

}  // namespace frugal::artifact
