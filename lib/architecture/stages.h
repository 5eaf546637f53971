// A layer as stages: the matrices that share an input.
//
// A stage reads one input X [tokens, in], multiplies it by its matrices (stacked rows share X, so
// one second moment and one factorization serve them all) and hands the outputs on: {q, k, v} ->
// {o} -> {gate, up} -> {down}. Of a mixture of experts the last two are there for each expert, one
// expert behind the other, and get the tokens that were sent to it; the router is in no stage.
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
  int64_t expert = kNoExpert;
  bool operator==(const StageRef&) const = default;
};

struct Stage {
  std::string name;  // "attention_in", "attention_out", "mlp_in", "mlp_out"; of an expert with its
                     // number: "expert 3 mlp_in"
  std::vector<Tensor> matrices;  // in stacking order
  // The outputs are added to the residual stream as they are: no norm or multiplier stands between.
  bool writes_residual = false;
  // The weight that the stage's input channels are proportional to, so that a scale of a channel
  // can be merged there: a norm's gain (plus stored_offset), or an earlier matrix of the layer
  // whose rows they are (in attention one row serves every query head of its group). Absent: there
  // is none.
  std::optional<Tensor> input_scale;
  int64_t expert = kNoExpert;
};

// Stages of a layer ahead of its feed-forward; the feed-forward's follow, two for each expert.
inline constexpr size_t kAttentionStages = 2;

std::vector<Stage> stages(const ModelConfig& config, int64_t layer);
// Of every layer.
std::vector<std::vector<Stage>> all_stages(const ModelConfig& config);

// The name of every matrix of the layers, in layer and stage order.
std::vector<std::string> layer_matrices(const ModelConfig& config);

}  // namespace frugal::architecture
