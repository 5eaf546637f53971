// Every tensor of a model, by role: its name, shape and place.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/roles.h"

namespace frugal::architecture {

inline constexpr int64_t kNoLayer = -1;
inline constexpr int64_t kNoExpert = -1;

// Rows of a tensor that a checkpoint of the family stores as one: fused matrices below each other,
// or one matrix of a stack, whose rows are counted through all of it. Of a vector a row is an
// element.
struct Slice {
  std::string name;            // of the stored tensor: "model.layers.3.self_attn.qkv_proj.weight"
  std::vector<int64_t> shape;  // of all of it, as it is stored
  int64_t first_row = 0;
  bool transposed = false;  // a matrix whose columns are the rows (Conv1D)
  bool operator==(const Slice&) const = default;
};

struct Tensor {
  std::string name;  // "model.layers.3.self_attn.q_proj.weight"
  std::vector<int64_t> shape;
  Role role = Role::kEmbedding;
  int64_t layer = kNoLayer;
  // Where it lies in plain weights of the family; absent: by itself, under its name. Codes on a
  // grid always lie by themselves.
  std::optional<Slice> slice = {};
  int64_t expert = kNoExpert;

  bool in_layer() const { return layer != kNoLayer; }
  bool is_matrix() const { return shape.size() == 2; }
  // A matrix of a layer that its stages multiply (stages.h). A router is none: its choices are too
  // fine for grids, and its bytes too few to be worth one.
  bool is_stage_matrix() const { return in_layer() && is_matrix() && role != Role::kRouter; }
};

// All tensors that `config` demands, in the order of the forward, by the names that every room
// uses: parts of fused tensors have names of their own. A tied head is not among them.
std::vector<Tensor> tensors(const ModelConfig& config);
// Those of one layer.
std::vector<Tensor> layer_tensors(const ModelConfig& config, int64_t layer);

// The name of one tensor. `layer` is looked at for tensors of layers alone.
std::string tensor_name(const ModelConfig& config, Role role, int64_t layer = kNoLayer,
                        int64_t expert = kNoExpert);
// The same without layer and suffix, for people and for patterns: "self_attn.q_proj".
std::string_view stem(const ModelConfig& config, Role role);
// The weight that makes logits of hidden states: the embedding where the head is tied to it.
std::string head_name(const ModelConfig& config);

// Role, layer and expert of a name that tensors() has.
struct Place {
  Role role = Role::kEmbedding;
  int64_t layer = kNoLayer;
  int64_t expert = kNoExpert;
};
std::map<std::string, Place, std::less<>> places(const ModelConfig& config);

// The whole of a name that files of the family may hold without its beginning.
std::string whole_name(const ModelConfig& config, std::string_view stored);
// A table that files of the family carry and every reader computes anew.
bool is_buffer(const ModelConfig& config, std::string_view stored);

// The norm whose gain has this role; must be there.
const Norm& norm_of(const ModelConfig& config, Role role, int64_t layer);
// What the model adds to a stored weight before it uses it: 1 for the gain of a one-plus norm, else
// 0.
double stored_offset(const ModelConfig& config, Role role, int64_t layer);

// What a weight has to do with the channels of the residual stream.
enum class StreamUse {
  kGains,    // [C]: a norm's, one for each channel
  kOffsets,  // [C]: a bias behind a matrix that writes, or of a norm
  kReads,    // [.., C]: its columns are channels; those of embedding and positions are, too
  kWrites,   // [C, ..]: its rows are channels
};
// By name, every tensor of `config` that has anything to do with them.
using StreamUses = std::map<std::string, StreamUse, std::less<>>;
StreamUses stream_uses(const ModelConfig& config);

}  // namespace frugal::architecture
