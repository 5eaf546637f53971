#include "passes/quantize/plan.h"

#include <map>

#include "base/text.h"
#include "grid/grid.h"
#include "model/architecture.h"

namespace frugal::passes {
namespace {

// What check_columns said about each row length, and which tensors have it: one line per length,
// not per layer.
class Misfits {
 public:
  void add(const absl::Status& status, int64_t columns, const std::string& name) {
    if (status.ok()) return;
    Entry& entry = entries_[columns];
    if (entry.count++ == 0) entry.message = std::string(base::as_std(status.message()));
    entry.last = name;
  }
  absl::Status status() const {
    if (entries_.empty()) return absl::OkStatus();
    std::string text;
    for (const auto& [columns, entry] : entries_) {
      text += base::str_cat(text.empty() ? "" : "\n", entry.message);
      if (entry.count > 1) {
        text +=
            base::str_cat(" (", entry.count, " matrices have such rows, up to ", entry.last, ")");
      }
    }
    return base::invalid_argument(text);
  }

 private:
  struct Entry {
    int64_t count = 0;
    std::string message, last;
  };
  std::map<int64_t, Entry> entries_;
};

std::string grid_of(PlannedTensor::Place place, const GridChoice& choice) {
  switch (place) {
    case PlannedTensor::Place::kLayer:
      return choice.grid;
    case PlannedTensor::Place::kHead:
      return choice.head == kKeep ? "" : choice.head;
    case PlannedTensor::Place::kEmbedding:
      return choice.embeddings == kKeep ? "" : choice.embeddings;
    case PlannedTensor::Place::kKept:
      break;
  }
  return "";
}

absl::StatusOr<std::map<std::string, int64_t, std::less<>>> layer_of_matrices(
    const format::ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(config));
  std::map<std::string, int64_t, std::less<>> result;
  for (int64_t layer = 0; layer < config.layer_count; ++layer) {
    for (const model::Stage& stage : stages) {
      for (const std::string& matrix : stage.matrices)
        result.emplace(model::weight_name(layer, matrix), layer);
    }
  }
  return result;
}

absl::Status set_grid(PlannedTensor& tensor, const GridChoice& choice, Misfits& misfits) {
  const std::string name = grid_of(tensor.place, choice);
  if (name.empty()) {
    tensor.place = PlannedTensor::Place::kKept;
    return absl::OkStatus();
  }
  const int64_t columns = tensor.shape.back();
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(name, columns));
  const grid::GridSpec& spec = grid->spec();
  misfits.add(grid::check_columns(spec, columns, tensor.name), columns, tensor.name);
  tensor.grid = spec.name;
  tensor.size_bytes = tensor.shape.front() * (columns / spec.block_columns) * spec.block_bytes;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<PlannedTensor>> plan_grids(const format::ModelConfig& config,
                                                      const GridChoice& choice) {
  if (config.tied_embeddings && choice.head != kKeep) {
    return base::invalid_argument(
        "head = '", choice.head,
        "', but this model's head is its embedding (tied); set `embeddings` instead");
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto layer_of, layer_of_matrices(config));
  Misfits misfits;
  std::vector<PlannedTensor> result;
  for (const format::ExpectedTensor& expected : format::expected_tensors(config)) {
    PlannedTensor tensor{.name = expected.name, .shape = expected.shape};
    const auto found = layer_of.find(expected.name);
    if (found != layer_of.end()) {
      tensor.place = PlannedTensor::Place::kLayer;
      tensor.layer = found->second;
    } else if (expected.name == model::kHead) {
      tensor.place = PlannedTensor::Place::kHead;
      tensor.layer = config.layer_count;
    } else if (expected.name == model::kEmbedding) {
      tensor.place = PlannedTensor::Place::kEmbedding;
    }
    FRUGAL_RETURN_IF_ERROR(set_grid(tensor, choice, misfits));
    result.push_back(std::move(tensor));
  }
  FRUGAL_RETURN_IF_ERROR(misfits.status());
  return result;
}

}  // namespace frugal::passes
