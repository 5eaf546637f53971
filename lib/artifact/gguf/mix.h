// llama.cpp's named mixes: which matrix of a model gets which grid when a user asks for "q4_k_m".
//
// The rules are those of llama-quantize for models without experts: value, feed-forward down and
// attention output matrices of some layers get more bits than the rest, the head gets q6_k. Where a
// row does not fill blocks of 256 the smaller type takes its place that llama-quantize would take.
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

// The grid that mix `name` gives to the matrix `matrix` of `layer`, with rows
// of `columns` weights. `name` is a mix.
std::string mix_layer_grid(std::string_view name, architecture::Role matrix, int64_t layer,
                           int64_t columns, const architecture::ModelConfig& config);

// Of the head and of the embedding; a tied embedding is the head.
std::string mix_head_grid(int64_t columns);
std::string mix_embedding_grid(std::string_view name, int64_t columns, bool tied);

}  // namespace frugal::artifact
