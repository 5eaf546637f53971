// What a decoder layer consists of, as data: the stages of a layer and the matrices that share an
// input.
//
// A layer is a list of stages. A stage reads one input X [tokens, in], multiplies it by its
// matrices (stacked rows share X, so one Hessian and one factorization serve them
// all), and hands the outputs on. Stages with `writes_residual` add their output to
// the residual stream.
//   Llama: {q,k,v} -> {o} -> {gate,up} -> {down}
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/model_config.h"

namespace frugal::model {

struct Stage {
  std::string name;                   // "attention_in", "attention_out", "mlp_in", "mlp_out"
  std::vector<std::string> matrices;  // below the layer: "self_attn.q_proj", ...
  bool writes_residual = false;
  // Below the layer: the weight that the stage's input channels are proportional to, so that a
  // scale of a channel can be merged there: a norm, or an earlier matrix of the layer whose rows
  // they are (in attention one row serves every query head of its group). Empty: there is none.
  std::string input_scale = {};
};

// Stages of every layer of `config`'s architecture. Errors: unknown architecture.
absl::StatusOr<std::vector<Stage>> stages(const format::ModelConfig& config);

// "model.layers.3.self_attn.q_proj.weight".
std::string weight_name(int64_t layer, std::string_view matrix);

// Every decoder matrix, in layer and stage order: full weight names.
absl::StatusOr<std::vector<std::string>> decoder_matrices(const format::ModelConfig& config);

// What a weight has to do with the channels of the residual stream.
enum class StreamUse {
  kGains,   // [C]: a norm's, one for each channel
  kReads,   // [.., C]: its columns are channels; the embedding's are, too
  kWrites,  // [C, ..]: its rows are channels
};
// By full name, every weight of `config` that has anything to do with them. Errors: as stages(); an
// architecture with a weight whose place is not known (biases, norms of heads).
using StreamUses = std::map<std::string, StreamUse, std::less<>>;
absl::StatusOr<StreamUses> stream_uses(const format::ModelConfig& config);

inline constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
inline constexpr std::string_view kFinalNorm = "model.norm.weight";
inline constexpr std::string_view kHead = "lm_head.weight";

}  // namespace frugal::model
