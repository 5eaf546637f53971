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

// Matrices of a layer that a checkpoint stores as one tensor, their rows below each other.
struct Fusion {
  std::string_view stem;  // "self_attn.qkv_proj"
  std::span<const Role> roles;
  std::string_view gguf;  // the same of llama.cpp, where it fuses them, too: "attn_qkv"
};

struct Family {
  std::string_view architecture;  // as in config.json's "architectures"
  std::string_view model_type;
  // Fills the layers and whatever else the family decides; sizes and token ids are read before
  // (config_reader.h).
  absl::Status (*describe)(const base::Json& json, std::string_view where, ModelConfig& config);
  // Writes what `describe` reads.
  void (*write)(const ModelConfig& config, base::Json& json);
  // Stems that differ from those of names.cpp.
  std::span<const RoleName> names = {};
  std::span<const Fusion> fusions = {};
  // `general.architecture` of llama.cpp's files; empty where it has none.
  std::string_view gguf = {};
  // llama.cpp turns neighboring channels of a head: rows of query and key lie interleaved in its
  // files.
  bool gguf_interleaves = false;
  // llama.cpp's graph of it knows windows.
  bool gguf_windows = false;
  // llama.cpp's graph of it has as many query channels as the residual stream, whatever the heads.
  bool gguf_square_attention = false;
  // "model.type" of onnxruntime-genai's config.
  std::string_view genai = "llama";
};

std::span<const Family* const> families();
// Errors: Unimplemented for an unknown one, with those that are known.
absl::StatusOr<const Family*> find_family(std::string_view architecture, std::string_view where);
// The family of a parsed config.
const Family& family_of(const ModelConfig& config);

}  // namespace frugal::architecture
