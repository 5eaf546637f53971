#include "layerwise/walk/durable_solver.h"

#include <utility>

#include "base/text.h"

namespace frugal::layerwise {

absl::Status DurableSolver::store_layer(int64_t layer) {
  base::Json rows = base::Json::array();
  for (const MatrixRecord& record : records_) rows.push_back(to_json(record));
  records_.clear();
  return store_.write(layer, std::exchange(tensors_, {}), rows);
}

absl::StatusOr<bool> DurableSolver::has_stored(int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(stored_, store_.read(layer));
  return stored_.has_value();
}

absl::StatusOr<std::vector<MatrixRecord>> stored_records(const LayerStore& store,
                                                         const std::vector<int64_t>& layers) {
  std::vector<MatrixRecord> records;
  for (const int64_t number : layers) {
    FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, store.require(number));
    for (const base::Json& row : layer.record()) {
      FRUGAL_ASSIGN_OR_RETURN(
          MatrixRecord record,
          parse_matrix_record(row, base::str_cat("the stored record of layer ", number)));
      records.push_back(std::move(record));
    }
  }
  return records;
}

}  // namespace frugal::layerwise
