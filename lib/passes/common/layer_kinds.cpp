#include "passes/common/layer_kinds.h"

#include <string>

#include "architecture/family.h"
#include "base/text.h"

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

absl::Status refuse_two_feed_forwards(const architecture::ModelConfig& config,
                                      std::string_view what) {
  const architecture::Layer& first = config.layers.front();
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const architecture::Layer& layer = config.layers[i];
    if (layer.feed_forward.width == first.feed_forward.width && layer.experts == first.experts)
      continue;
    const auto described = [](const architecture::Layer& of) {
      return base::str_cat(of.feed_forward.width, " neurons",
                           of.experts ? base::str_cat(" in each of ", of.experts->count, " experts")
                                      : std::string());
    };
    return base::unimplemented(what, ": layer 0 of this ", config.architecture, " has ",
                               described(first), ", layer ", i, " ", described(layer),
                               ", and one share goes for all layers; prune experts or heads "
                               "instead");
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

absl::Status refuse_centered_norms(const architecture::ModelConfig& config, std::string_view what,
                                   std::string_view remedy) {
  if (!config.final_norm.centered) return absl::OkStatus();
  return base::unimplemented(what, ": the norms of this ", config.architecture,
                             " take the mean over all channels of the residual stream away "
                             "(LayerNorm), which other channels would change; ",
                             remedy);
}

absl::Status refuse_heads_that_fill_the_stream(const architecture::ModelConfig& config,
                                               std::string_view what) {
  if (!architecture::family_of(config).heads_fill_stream) return absl::OkStatus();
  return base::unimplemented(what, ": the config of a ", config.architecture,
                             " has no head size: its heads are the residual stream divided by "
                             "their number, so that none can go; prune ffn or depth instead");
}

}  // namespace frugal::passes
