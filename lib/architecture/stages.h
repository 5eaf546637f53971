// A layer as stages: the matrices that share an input.
//
// A stage reads one input X [tokens, in], multiplies it by its matrices (stacked rows share X, so
// one second moment and one factorization serve them all) and hands the outputs on: {q, k, v} ->
// {o} -> {gate, up} -> {down}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/tensors.h"

namespace frugal::architecture {

// A stage of a model. `expert` is for stages that only some tokens reach.
struct StageRef {
  int64_t layer = 0;
  size_t stage = 0;
  int64_t expert = -1;
  bool operator==(const StageRef&) const = default;
};

struct Stage {
  std::string name;              // "attention_in", "attention_out", "mlp_in", "mlp_out"
  std::vector<Tensor> matrices;  // in stacking order
  // The outputs are added to the residual stream as they are: no norm stands between.
  bool writes_residual = false;
  // The weight that the stage's input channels are proportional to, so that a scale of a channel
  // can be merged there: a norm's gain (plus stored_offset), or an earlier matrix of the layer
  // whose rows they are (in attention one row serves every query head of its group). Absent: there
  // is none.
  std::optional<Tensor> input_scale;
};

std::vector<Stage> stages(const ModelConfig& config, int64_t layer);
// Of every layer.
std::vector<std::vector<Stage>> all_stages(const ModelConfig& config);

// The name of every matrix of the layers, in layer and stage order.
std::vector<std::string> layer_matrices(const ModelConfig& config);

}  // namespace frugal::architecture
