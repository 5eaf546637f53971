// The base of solvers whose layers survive a kill: what they answered is stored layer by layer, and
// a later walk restores it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "layerwise/walk/layer_store.h"
#include "layerwise/walk/matrix_record.h"
#include "layerwise/walk/walk.h"

namespace frugal::layerwise {

class DurableSolver : public StageSolver {
 public:
  // `store` outlives the solver.
  explicit DurableSolver(const LayerStore& store) : store_(store) {}

  absl::Status store_layer(int64_t layer) final;
  absl::StatusOr<bool> has_stored(int64_t layer) final;

 protected:
  // Adds to what will be stored of the layer in work; a name that is there already is overwritten.
  void keep(std::string name, at::Tensor value) {
    tensors_.insert_or_assign(std::move(name), std::move(value));
  }
  void keep(MatrixRecord record) { records_.push_back(std::move(record)); }
  // Of the layer in work, in the order they came.
  std::vector<MatrixRecord>& records() { return records_; }
  // The layer that has_stored() said is there, for restore().
  const LayerStore::Layer& stored() const { return *stored_; }

 private:
  const LayerStore& store_;
  StoredTensors tensors_;
  std::vector<MatrixRecord> records_;
  std::optional<LayerStore::Layer> stored_;
};

// What durable solvers recorded of `layers`, in order. Errors: a layer that was not stored; damage.
absl::StatusOr<std::vector<MatrixRecord>> stored_records(const LayerStore& store,
                                                         const std::vector<int64_t>& layers);

}  // namespace frugal::layerwise
