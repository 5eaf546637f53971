// llama.cpp's types of files: which matrix of a model gets which grid when a user asks for
// "q4_k_m", a mix, or for "q4_0", one grid for all layers.
//
// The rules are those of llama-quantize for models without experts: value, feed-forward down and
// attention output matrices of some layers get more bits than the rest, the head gets q6_k. Rows
// that do not fill the blocks of such a grid: fitting_grid.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "architecture/model_config.h"
#include "architecture/roles.h"

namespace frugal::artifact {

struct MixHelp {
  std::string_view name;
  std::string_view summary;
};
const std::vector<MixHelp>& mix_help();

bool is_mix(std::string_view name);
// The grid of the matrices that no rule of mix `name` speaks of: of most of them.
std::string mix_grid(std::string_view name);

// The grid of the matrix `matrix` of `layer` in a file of type `name`, a mix or a grid of ggml's.
std::string layer_grid(std::string_view name, architecture::Role matrix, int64_t layer,
                       const architecture::ModelConfig& config);
// Of the head and of the embedding; a tied embedding is the head.
std::string head_grid(std::string_view name);
std::string embedding_grid(std::string_view name, bool tied);

// What llama-quantize takes for `grid` where rows of `columns` weights do not fill its blocks;
// `grid` itself where they do, or where its blocks are of 32.
std::string fitting_grid(std::string_view grid, int64_t columns);

}  // namespace frugal::artifact
