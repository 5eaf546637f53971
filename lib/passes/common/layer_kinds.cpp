#include "passes/common/layer_kinds.h"

namespace frugal::passes {

absl::Status refuse_experts(const architecture::ModelConfig& config, std::string_view what,
                            std::string_view remedy) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const auto& experts = config.layers[i].experts;
    if (!experts) continue;
    return base::unimplemented(what, " does not know experts, and layer ", i, " of this ",
                               config.architecture, " has ", experts->count, "; ", remedy);
  }
  return absl::OkStatus();
}

absl::Status refuse_norms_over_heads(const architecture::ModelConfig& config,
                                     std::string_view what) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const architecture::Attention& attention = config.layers[i].attention;
    if (!attention.query_key_norm || !attention.norm_spans_heads) continue;
    return base::unimplemented(
        what, ": layer ", i, " of this ", config.architecture,
        " norms the queries and keys of all heads at once, which fewer heads "
        "would change for those that stay; prune ffn or depth instead");
  }
  return absl::OkStatus();
}

}  // namespace frugal::passes
