// Stored layers for whoever assembles a result matrix by matrix: each file is opened and its record
// parsed once for all matrices of the layer.
#pragma once

#include <cstdint>
#include <optional>

#include "layerwise/walk/layer_store.h"

namespace frugal::layerwise {

class LayerReader {
 public:
  explicit LayerReader(const LayerStore& store) : store_(&store) {}

  // As LayerStore::require. The layer lives until another one is asked for.
  absl::StatusOr<const LayerStore::Layer*> require(int64_t layer) {
    if (!held_ || number_ != layer) {
      held_.reset();
      FRUGAL_ASSIGN_OR_RETURN(held_, store_->require(layer));
      number_ = layer;
    }
    return &*held_;
  }

 private:
  const LayerStore* store_;
  std::optional<LayerStore::Layer> held_;
  int64_t number_ = 0;
};

}  // namespace frugal::layerwise
