// Which weights of a model go to which grid: decided from metadata, the same in check and run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"

namespace frugal::passes {

inline constexpr std::string_view kKeep = "keep";
inline constexpr std::string_view kAuto = "auto";

struct GridChoice {
  std::string grid;        // of the decoder's matrices: a grid, or a mix (mix.h)
  std::string embeddings;  // a grid, "keep", or "auto" (grid_beside in plan.cpp)
  std::string head;        // the same
  // Globs over weight names and the grid (or "keep") of those that match; the last match counts.
  std::vector<std::pair<std::string, std::string>> overrides = {};
  bool strict = false;  // refuse rows that do not fill the blocks of `grid`
};

struct PlannedTensor {
  enum class Place { kKept, kLayer, kHead, kEmbedding };
  std::string name;
  std::vector<int64_t> shape;
  Place place = Place::kKept;
  int64_t layer = -1;     // kLayer
  std::string grid = {};  // canonical name; empty where kept
  std::string asked =
      {};  // the K type in whose stead `grid` stands, as rows do not fill its blocks
  int64_t size_bytes = 0;  // on the grid; 0 where kept
};

// Every tensor that `config` demands, in its order. Errors: a misspelt grid; an override that
// matches no matrix; rows that do not fit (all such matrices in one message, with the remedy), with
// `strict` also those for which llama.cpp has another type; a grid for the head of a model whose
// head is the embedding.
absl::StatusOr<std::vector<PlannedTensor>> plan_grids(const architecture::ModelConfig& config,
                                                      const GridChoice& choice);

}  // namespace frugal::passes
