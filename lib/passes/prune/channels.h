// Which channels of the residual stream go, and the checkpoint without them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/pruning/width.h"
#include "layerwise/walk/layer_store.h"
#include "layerwise/walk/walk.h"

namespace frugal::passes {

struct ChannelChoice {
  int64_t keep = 0;
  layerwise::StructureScore score = layerwise::StructureScore::kActivation;  // not kObsGreedy
};

// The channels to keep, ascending. kActivation: the sum over all norms of the mean |output|
// (Minitron); kObs: the sum over all that reads the stream of what it loses, as a share of its
// output (channels.h); kMagnitude: the squares of all weights on a channel. One walk over
// `windows`, none for kMagnitude. Errors: those of the walk.
absl::StatusOr<std::vector<int64_t>> choose_channels(const format::Checkpoint& input,
                                                     const text::Windows& windows,
                                                     const layerwise::WalkOptions& walk,
                                                     const ChannelChoice& choice);

// Writes the model that keeps the channels `kept`: matrices from `store` where it has them (null:
// nowhere), else those of the input without the others; gains in fp32, as their factor √(d/d') is
// not exact in fewer bits.
absl::Status write_without_channels(const format::Checkpoint& input,
                                    const std::vector<int64_t>& kept,
                                    const layerwise::LayerStore* store,
                                    const std::filesystem::path& folder);

}  // namespace frugal::passes
