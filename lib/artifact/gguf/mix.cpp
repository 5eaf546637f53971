#include "artifact/gguf/mix.h"

#include <algorithm>

#include "architecture/gguf_names.h"

namespace frugal::artifact {
namespace {

// Which layers a rule is for.
enum class Layers {
  kAll,
  kFirstTwo,
  kFirstFour,
  kFirstSixteenth,
  kFirstEighth,
  kMoreBits,      // the first and the last eighth and every third between
  kSharedValues,  // all, where four or more query heads share a value head
  kOwnValues,     // all, where fewer do
};

struct Rule {
  architecture::Role matrix;
  Layers layers;
  std::string_view grid;
};

struct Mix {
  std::string_view name;
  std::string_view grid;  // what no rule speaks of
  std::vector<Rule> rules;
  std::string_view summary;
  // Of query, key and value where llama.cpp holds them in one tensor; empty: `grid`.
  std::string_view fused = {};
};

// Whether llama.cpp has one tensor of query, key and value.
bool fuses(const architecture::ModelConfig& config, architecture::Role matrix, int64_t layer) {
  using architecture::Role;
  if (matrix != Role::kQuery && matrix != Role::kKey && matrix != Role::kValue) return false;
  return architecture::gguf_stored_name(config, matrix, layer) !=
         architecture::gguf_tensor_name(matrix, layer);
}

constexpr auto kValue = architecture::Role::kValue;
constexpr auto kOutput = architecture::Role::kAttentionOutput;
constexpr auto kDown = architecture::Role::kDown;
constexpr std::string_view kHeadGrid = "q6_k";

const std::vector<Mix>& mixes() {
  static const std::vector<Mix> kMixes = {
      {"q2_k_s",
       "q2_k",
       {{kValue, Layers::kSharedValues, "q4_k"}, {kDown, Layers::kFirstEighth, "q4_k"}},
       "llama.cpp's Q2_K_S"},
      {"q2_k_m",
       "q2_k",
       {{kValue, Layers::kSharedValues, "q4_k"},
        {kValue, Layers::kOwnValues, "q3_k"},
        {kDown, Layers::kAll, "q3_k"},
        {kOutput, Layers::kAll, "q3_k"}},
       "llama.cpp's Q2_K"},
      {"q3_k_s", "q3_k", {}, "llama.cpp's Q3_K_S"},
      {"q3_k_m",
       "q3_k",
       {{kValue, Layers::kFirstTwo, "q5_k"},
        {kValue, Layers::kAll, "q4_k"},
        {kDown, Layers::kFirstSixteenth, "q5_k"},
        {kDown, Layers::kAll, "q4_k"},
        {kOutput, Layers::kAll, "q4_k"}},
       "llama.cpp's Q3_K_M",
       "q4_k"},
      {"q3_k_l",
       "q3_k",
       {{kValue, Layers::kAll, "q5_k"},
        {kDown, Layers::kAll, "q5_k"},
        {kOutput, Layers::kAll, "q5_k"}},
       "llama.cpp's Q3_K_L",
       "q4_k"},
      {"q4_k_s",
       "q4_k",
       {{kValue, Layers::kFirstFour, "q5_k"}, {kDown, Layers::kFirstEighth, "q5_k"}},
       "llama.cpp's Q4_K_S"},
      {"q4_k_m",
       "q4_k",
       {{kValue, Layers::kMoreBits, "q6_k"}, {kDown, Layers::kMoreBits, "q6_k"}},
       "llama.cpp's Q4_K_M",
       "q5_k"},
      {"q5_k_s", "q5_k", {}, "llama.cpp's Q5_K_S"},
      {"q5_k_m",
       "q5_k",
       {{kValue, Layers::kMoreBits, "q6_k"}, {kDown, Layers::kMoreBits, "q6_k"}},
       "llama.cpp's Q5_K_M",
       "q6_k"},
  };
  return kMixes;
}

const Mix* find_mix(std::string_view name) {
  const auto found = std::find_if(mixes().begin(), mixes().end(),
                                  [&](const Mix& mix) { return mix.name == name; });
  return found == mixes().end() ? nullptr : &*found;
}

bool applies(Layers layers, int64_t layer, const architecture::ModelConfig& config) {
  const int64_t count = config.layer_count();
  const bool shared =
      config.layers.front().attention.heads / config.layers.front().attention.key_value_heads >= 4;
  switch (layers) {
    case Layers::kAll:
      return true;
    case Layers::kFirstTwo:
      return layer < 2;
    case Layers::kFirstFour:
      return layer < 4;
    case Layers::kFirstSixteenth:
      return layer < count / 16;
    case Layers::kFirstEighth:
      return layer < count / 8;
    case Layers::kMoreBits:
      return layer < count / 8 || layer >= 7 * count / 8 || (layer - count / 8) % 3 == 2;
    case Layers::kSharedValues:
      return shared;
    case Layers::kOwnValues:
      return !shared;
  }
  return false;
}

}  // namespace

const std::vector<MixHelp>& mix_help() {
  static const std::vector<MixHelp> help = [] {
    std::vector<MixHelp> result;
    for (const Mix& mix : mixes()) result.push_back({mix.name, mix.summary});
    return result;
  }();
  return help;
}

bool is_mix(std::string_view name) { return find_mix(name) != nullptr; }

std::string mix_grid(std::string_view name) { return std::string(find_mix(name)->grid); }

std::string layer_grid(std::string_view name, architecture::Role matrix, int64_t layer,
                       const architecture::ModelConfig& config) {
  const Mix* mix = find_mix(name);
  if (mix == nullptr) return std::string(name);
  if (fuses(config, matrix, layer)) return std::string(mix->fused.empty() ? mix->grid : mix->fused);
  for (const Rule& rule : mix->rules) {
    if (rule.matrix == matrix && applies(rule.layers, layer, config)) return std::string(rule.grid);
  }
  return std::string(mix->grid);
}

std::string head_grid(std::string_view name) {
  // llama-quantize has q8_0 beside MXFP4, and q6_k beside every other type.
  if (name == "mxfp4") return "q8_0";
  return std::string(name == "q8_0" ? name : kHeadGrid);
}

std::string embedding_grid(std::string_view name, bool tied) {
  // MXFP4's of llama-quantize is that of its head; NVFP4 has none, as llama.cpp multiplies no
  // embedding by a tensor scale.
  if (tied || name == "mxfp4" || name.starts_with("nvfp4")) return head_grid(name);
  if (name == "q2_0" || name == "tq2_0") return "q4_k";
  return is_mix(name) ? mix_grid(name) : std::string(name);
}

std::string fitting_grid(std::string_view grid, int64_t columns) {
  if (columns % 256 == 0) return std::string(grid);
  if (grid == "q2_0") return columns % 64 == 0 ? "q2_0" : "q4_0";
  if (grid == "tq2_0") return "q4_0";
  // llama-quantize has nothing beside NVFP4: the best of its size for blocks of 32.
  if (grid.starts_with("nvfp4") && columns % 64 != 0) return "iq4_nl";
  if (grid == "q2_k" || grid == "q3_k" || grid == "iq4_xs") return "iq4_nl";
  if (grid == "q4_k") return "q5_0";
  if (grid == "q5_k") return "q5_1";
  return grid == "q6_k" ? "q8_0" : std::string(grid);
}

}  // namespace frugal::artifact
