// Tested by: tests/passes/target_test.cpp
#include "passes/quantize/plan.h"

#include <map>

#include "architecture/tensors.h"
#include "artifact/exact_layout.h"
#include "artifact/gguf/mix.h"
#include "base/text.h"
#include "grid/grid.h"

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

// The grid that the plain options, before overrides, give to a matrix; "keep" where it stays as it
// is.
struct BasicGrid {
  std::string name;
  bool named = false;  // by an option of its own, which is taken at its word
};

// Beside integers in groups: 8 bits in groups of that size, which GGUF and ONNX hold, too.
std::string int8_beside(const std::string& name) {
  const auto grid = grid::find_grid(name, /*row_columns=*/0);
  if (!name.starts_with("int") || !grid.ok()) return std::string(kKeep);  // errors: set_grid
  return base::str_cat("int8:g", (*grid)->spec().group_columns);
}

// What follows for head and embedding from the grid of the layers: what llama.cpp's type of that
// name has there, 8 bits beside integers in groups, "keep" beside others.
std::string grid_beside(PlannedTensor::Place place, const GridChoice& choice, bool tied) {
  if (!artifact::is_gguf_grid(choice.grid) && !artifact::is_mix(choice.grid))
    return int8_beside(choice.grid);
  return place == PlannedTensor::Place::kHead ? artifact::head_grid(choice.grid)
                                              : artifact::embedding_grid(choice.grid, tied);
}

BasicGrid basic_grid(const PlannedTensor& tensor, architecture::Role role, const GridChoice& choice,
                     const architecture::ModelConfig& config) {
  using Place = PlannedTensor::Place;
  if (tensor.place == Place::kKept) return {std::string(kKeep), true};
  if (tensor.place == Place::kLayer)
    return {artifact::layer_grid(choice.grid, role, tensor.layer, config)};
  const std::string& given = tensor.place == Place::kHead ? choice.head : choice.embeddings;
  if (given != kAuto) return {given, true};
  return {grid_beside(tensor.place, choice, config.tied_embeddings)};
}

// The overrides, and which of them met a matrix.
class Overrides {
 public:
  explicit Overrides(const GridChoice& choice)
      : entries_(choice.overrides), used_(choice.overrides.size(), false) {}

  void apply(const std::string& name, BasicGrid& grid) {
    names_.push_back(name);
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (!base::glob_match(entries_[i].first, name)) continue;
      grid = {entries_[i].second, true};
      used_[i] = true;
    }
  }

  absl::Status status() const {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (used_[i]) continue;
      return base::invalid_argument(
          "overrides: '", entries_[i].first, "' matches no matrix of the ", names_.size(),
          " that can be put on a grid", base::suggestion(entries_[i].first, names_));
    }
    return absl::OkStatus();
  }

 private:
  const std::vector<std::pair<std::string, std::string>>& entries_;
  std::vector<bool> used_;
  std::vector<std::string> names_;
};

// Where rows do not fill the blocks of a type, the type that llama-quantize takes instead. Errors:
// an unknown type, which nothing stands in for.
absl::Status fit(PlannedTensor& tensor, std::string& grid) {
  std::string fitting = artifact::fitting_grid(grid, tensor.shape.back());
  if (fitting == grid) return absl::OkStatus();
  FRUGAL_RETURN_IF_ERROR(grid::find_grid(grid, tensor.shape.back()).status());
  tensor.asked = std::move(grid);
  grid = std::move(fitting);
  return absl::OkStatus();
}

absl::Status set_grid(PlannedTensor& tensor, const std::string& name, Misfits& misfits) {
  if (name == kKeep) {
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

PlannedTensor place_tensor(const architecture::Tensor& expected, int64_t layer_count) {
  PlannedTensor tensor{.name = expected.name, .shape = expected.shape};
  if (expected.in_layer()) {
    if (!expected.is_stage_matrix()) return tensor;
    tensor.place = PlannedTensor::Place::kLayer;
    tensor.layer = expected.layer;
  } else if (expected.role == architecture::Role::kHead) {
    tensor.place = PlannedTensor::Place::kHead;
    tensor.layer = layer_count;
  } else if (expected.role == architecture::Role::kEmbedding) {
    tensor.place = PlannedTensor::Place::kEmbedding;
  }
  return tensor;
}

}  // namespace

absl::StatusOr<std::vector<PlannedTensor>> plan_grids(const architecture::ModelConfig& config,
                                                      const GridChoice& choice) {
  if (config.tied_embeddings && choice.head != kKeep && choice.head != kAuto) {
    return base::invalid_argument(
        "head = '", choice.head,
        "', but this model's head is its embedding (tied); set `embeddings` instead");
  }
  Misfits misfits;
  Overrides overrides(choice);
  std::vector<PlannedTensor> result;
  for (const architecture::Tensor& expected : architecture::tensors(config)) {
    PlannedTensor tensor = place_tensor(expected, config.layer_count());
    BasicGrid grid = basic_grid(tensor, expected.role, choice, config);
    if (tensor.place != PlannedTensor::Place::kKept) overrides.apply(tensor.name, grid);
    if (!grid.named && !choice.strict) FRUGAL_RETURN_IF_ERROR(fit(tensor, grid.name));
    FRUGAL_RETURN_IF_ERROR(set_grid(tensor, grid.name, misfits));
    result.push_back(std::move(tensor));
  }
  FRUGAL_RETURN_IF_ERROR(overrides.status());
  FRUGAL_RETURN_IF_ERROR(misfits.status());
  return result;
}

}  // namespace frugal::passes
