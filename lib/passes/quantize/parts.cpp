#include "passes/quantize/parts.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "architecture/tensors.h"
#include "base/text.h"
#include "base/units.h"
#include "grid/grid.h"
#include "passes/quantize/forecast.h"

namespace frugal::passes {
namespace {

enum Kind { kEmbedding, kAttention, kFeedForward, kRest, kHead, kKinds };

Kind kind_of(const architecture::Tensor& tensor) {
  using architecture::Role;
  switch (tensor.role) {
    case Role::kEmbedding:
      return kEmbedding;
    case Role::kHead:
      return kHead;
    case Role::kQuery:
    case Role::kKey:
    case Role::kValue:
    case Role::kAttentionOutput:
      return kAttention;
    case Role::kGate:
    case Role::kUp:
    case Role::kDown:
      return kFeedForward;
    default:
      return kRest;
  }
}

}  // namespace

std::vector<Part> parts_of(const std::vector<PlannedTensor>& plan,
                           const architecture::ModelConfig& config, int64_t element_bytes) {
  std::array<Part, kKinds> parts;
  parts[kEmbedding].name = config.tied_embeddings ? "embedding (also the head)" : "embedding";
  parts[kAttention].name = "attention";
  parts[kFeedForward].name = config.layers.front().experts ? "experts" : "feed-forward";
  parts[kRest].name = "the rest";
  parts[kHead].name = "head";
  const std::vector<architecture::Tensor> tensors = architecture::tensors(config);
  for (size_t i = 0; i < plan.size(); ++i) {
    Part& part = parts[kind_of(tensors[i])];
    const int64_t weights = element_count(plan[i]);
    const std::string grid = plan[i].grid.empty() ? "kept" : plan[i].grid;
    if (std::find(part.grids.begin(), part.grids.end(), grid) == part.grids.end())
      part.grids.push_back(grid);
    part.weights += weights;
    part.bytes += plan[i].grid.empty() ? weights * element_bytes : plan[i].size_bytes;
  }
  std::vector<Part> result;
  for (Part& part : parts) {
    if (part.weights > 0) result.push_back(std::move(part));
  }
  return result;
}

std::string parts_text(const std::vector<Part>& parts) {
  std::vector<std::string> texts;
  for (const Part& part : parts) {
    texts.push_back(base::str_cat(part.name, " ",
                                  base::format_bytes(static_cast<double>(part.bytes)), " (",
                                  base::join(part.grids, ", "), ")"));
  }
  return base::join(texts, "; ");
}

std::vector<std::string> fallback_texts(const std::vector<PlannedTensor>& plan) {
  std::map<std::tuple<std::string, std::string, int64_t>, int64_t> counts;
  for (const PlannedTensor& tensor : plan) {
    if (!tensor.asked.empty() && !tensor.grid.empty())
      ++counts[{tensor.asked, tensor.grid, tensor.shape.back()}];
  }
  std::vector<std::string> texts;
  for (const auto& [what, count] : counts) {
    const auto& [asked, grid, columns] = what;
    const auto wanted = grid::find_grid(asked, columns);  // it was found when the plan was made
    const bool theirs = !asked.starts_with("nvfp4");      // which llama-quantize does not write
    texts.push_back(base::str_cat("rows of ", columns, " weights do not fill ", asked,
                                  "'s blocks of ", (*wanted)->spec().block_columns, ": ", count,
                                  count == 1 ? " matrix becomes " : " matrices become ", grid,
                                  theirs ? ", as llama-quantize has it" : ""));
  }
  return texts;
}

}  // namespace frugal::passes
