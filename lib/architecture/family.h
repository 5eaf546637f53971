// A family of models: how its config.json is read and written, how its tensors are called. One file
// each in families/, one line each in family.cpp.
#pragma once

#include <span>
#include <string_view>

#include "architecture/model_config.h"
#include "architecture/roles.h"

namespace frugal::architecture {

struct RoleName {
  Role role;
  std::string_view stem;  // "self_attn.q_proj"
};

// Where a layer's experts lie: "mlp.experts.3.gate_proj".
struct ExpertNames {
  std::string_view stem = "mlp.experts";
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";
  std::string_view of(Role matrix) const {
    return matrix == Role::kGate ? gate : matrix == Role::kUp ? up : down;
  }
};

// Matrices of a layer that a checkpoint stores as one tensor, their rows below each other.
struct Fusion {
  std::string_view stem;  // "self_attn.qkv_proj"
  std::span<const Role> roles;
  std::string_view gguf;    // the same of llama.cpp, where it fuses them, too: "attn_qkv"
  bool transposed = false;  // stored [in, out]
  bool biases = false;      // theirs are fused alike
};

// What llama.cpp's graph of an architecture can compute.
struct GgufGraph {
  // Every layer but each period-th is windowed unless the file says otherwise; 0: no windows.
  int64_t window_period = 0;
  bool window_pattern = false;    // the file may say otherwise
  bool square_attention = false;  // as many query channels as the residual stream,
  bool square_keys = false;       // ... and key channels
  int64_t rotation_period = 0;    // each period-th layer does not turn; 0: all do, 1: none does
  bool centered_norms = false;    // LayerNorm
  bool multipliers = false;       // of scores, residual additions and logits
  bool long_factors = false;      // longrope
  bool experts = false;
  bool all_experts = false;        // ... in every layer
  bool normalized_experts = true;  // their weights add up to 1
  Activation activation = Activation::kSilu;
};

struct Family {
  std::string_view architecture;  // as in config.json's "architectures"
  std::string_view model_type;
  // Fills the layers and whatever else the family decides; sizes and token ids are read before
  // (config_reader.h).
  absl::Status (*describe)(const base::Json& json, std::string_view where, ModelConfig& config);
  // Writes what `describe` reads.
  void (*write)(const ModelConfig& config, base::Json& json);
  // Stems that differ from the usual ones (tensors.cpp).
  std::span<const RoleName> (*names)() = nullptr;
  std::string_view layer_prefix = "model.layers.";
  // What all names but the head's begin with, and files may leave out.
  std::string_view optional_prefix = {};
  std::span<const std::string_view> buffers = {};  // ends of names: see is_buffer (tensors.h)
  std::span<const Fusion> fusions = {};
  ExpertNames experts = {};
  // config.json has no head size: heads times it are as wide as the residual stream.
  bool heads_fill_stream = false;
  // `general.architecture` of llama.cpp's files; empty where it has none.
  std::string_view gguf = {};
  // llama.cpp turns neighboring channels of a head: rows of query and key lie interleaved in its
  // files.
  bool gguf_interleaves = false;
  // llama.cpp's graph of it; what a model has beyond that is refused (gguf_names.h).
  GgufGraph graph = {};
  // "model.type" of onnxruntime-genai's config.
  std::string_view genai = "llama";
};

std::span<const Family* const> families();
// Errors: Unimplemented for an unknown one, with those that are known.
absl::StatusOr<const Family*> find_family(std::string_view architecture, std::string_view where);
// The family of a parsed config.
const Family& family_of(const ModelConfig& config);

}  // namespace frugal::architecture
