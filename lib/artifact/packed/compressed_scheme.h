// What the config of a compressed-tensors folder says: groups of modules and how each is quantized.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/packed/module_targets.h"
#include "base/json.h"
#include "base/status.h"

namespace frugal::artifact {

// What a module's tensors are called, after its name (compressed_layout.cpp).
namespace compressed {
inline constexpr std::string_view kPacked = ".weight_packed", kPlain = ".weight",
                                  kScale = ".weight_scale", kZero = ".weight_zero_point",
                                  kShape = ".weight_shape", kOrder = ".weight_g_idx",
                                  kGlobal = ".weight_global_scale";
inline constexpr uint8_t kTop = 0x80;  // turns value + 128 into int8, and back
}  // namespace compressed

enum class CompressedFormat { kPacked, kInteger, kFloat, kNvfp4, kMxfp4 };

enum class ScaleSpread { kTensor, kChannel, kGroup, kBlock };  // what shares a scale

struct CompressedScheme {
  std::string name;  // "group_0"
  ModuleTargets targets;
  CompressedFormat format = CompressedFormat::kPacked;
  int bits = 4;
  bool is_float = false;
  bool symmetric = true;
  ScaleSpread spread = ScaleSpread::kGroup;
  int64_t group = 0;       // columns, of kGroup and kBlock
  int64_t block_rows = 1;  // of kBlock
  bool ordered = false;    // columns belong to groups by weight_g_idx
  bool int8_inputs = false;
  std::string inputs;  // how inputs are rounded where the checkpoint cannot say it: "fp8 per token"

  std::string text() const;  // "pack-quantized of 4 bits, groups of 128"
};

std::string_view name(CompressedFormat format);  // "pack-quantized"

// The scheme as a group of the config, for the modules called `targets`: what parse reads.
base::Json to_json(const CompressedScheme& scheme, const std::vector<std::string>& targets);

struct CompressedSchemes {
  std::vector<CompressedScheme> groups;
  ModuleTargets ignored;
};

// Errors: a format, a type or a way of sharing scales that is not read, each by name with what is;
// a key of a wrong type. `where` names file and key.
absl::StatusOr<CompressedSchemes> parse_compressed_schemes(const base::Json& config,
                                                           std::string_view where);

}  // namespace frugal::artifact
