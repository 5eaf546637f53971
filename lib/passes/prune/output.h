// What pruning leaves behind: the checkpoint, assembled from the input and the layer store, and its
// numbers.
#pragma once

#include <filesystem>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/walk/layer_store.h"
#include "pass/pass.h"
#include "passes/prune/cut_solver.h"

namespace frugal::passes {

// The config of a model narrowed by `cuts`.
architecture::ModelConfig narrowed_config(architecture::ModelConfig config,
                                          const std::vector<Cut>& cuts);

absl::Status write_narrowed(const format::Checkpoint& input, const std::vector<Cut>& cuts,
                            const layerwise::LayerStore& store,
                            const std::filesystem::path& folder);
absl::Status write_masked(const format::Checkpoint& input, const layerwise::LayerStore& store,
                          const std::filesystem::path& folder);
// `kept`: the layers, ascending.
// The config of the layers `kept` (ascending) alone.
architecture::ModelConfig shallower_config(architecture::ModelConfig config,
                                           const std::vector<int64_t>& kept);
absl::Status write_shallower(const format::Checkpoint& input, const std::vector<int64_t>& kept,
                             const std::filesystem::path& folder);

// The config with so many experts in each layer as `kept` names (none: as they were); a token runs
// through no more than are left.
architecture::ModelConfig with_experts(architecture::ModelConfig config,
                                       const std::vector<std::vector<int64_t>>& kept);
// Those experts alone, ascending and numbered anew, and their rows of the routers; where `changed`
// is there, it has every layer of experts, with the tensors that are other ones now under their new
// names.
absl::Status write_with_experts(const format::Checkpoint& input,
                                const std::vector<std::vector<int64_t>>& kept,
                                const layerwise::LayerStore* changed,
                                const std::filesystem::path& folder);

// Table `layer_error` and the mean of its errors, from the stored records, with what they warn of.
absl::Status report_errors(pass::RunContext& context, const layerwise::LayerStore& store);
// Sizes before and after.
absl::Status report_sizes(pass::RunContext& context);
// Zeros in the matrices that were to have some.
absl::Status report_zeros(pass::RunContext& context, const layerwise::LayerStore& store);
void report_cuts(pass::RunContext& context, const std::vector<Cut>& cuts);

}  // namespace frugal::passes
