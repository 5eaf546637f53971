// Tested by: tests/passes/smooth_output_test.cpp
#include "passes/smooth/output.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "architecture/tensors.h"
#include "base/text.h"
#include "layerwise/walk/layer_reader.h"
#include "passes/smooth/scale_solver.h"
#include "tensor/aten.h"
#include "tensor/guard.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using layerwise::MatrixRecord;

// What happens to a weight: its columns are multiplied by the scale of the stage that reads it,
// what it makes is divided by that of the stage behind.
struct Role {
  int64_t layer = 0;
  const ScaleGroup* reads = nullptr;
  const ScaleGroup* makes = nullptr;
  double offset = 0;  // what the model adds to a stored gain
};
using Roles = std::map<std::string, Role, std::less<>>;

Roles find_roles(const architecture::ModelConfig& config, const std::vector<ScaleGroup>& groups) {
  Roles roles;
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    if (!tensor.in_layer()) continue;
    Role role{.layer = tensor.layer};
    for (const ScaleGroup& group : groups) {
      if (group.left_alone) continue;
      const auto& readers = group.matrices;
      if (std::find(readers.begin(), readers.end(), tensor.role) != readers.end())
        role.reads = &group;
      // A bias is added to what the matrix's rows make, and is divided with them.
      if (architecture::matrix_of(tensor.role) == group.source) role.makes = &group;
    }
    role.offset = architecture::stored_offset(config, tensor.role, tensor.layer);
    if (role.reads != nullptr || role.makes != nullptr) roles.emplace(tensor.name, role);
  }
  return roles;
}

absl::StatusOr<at::Tensor> smoothed(const format::Checkpoint& input, const std::string& name,
                                    const Role& role, const LayerStore::Layer& layer) {
  FRUGAL_ASSIGN_OR_RETURN(at::Tensor value, tensor::load(input, name, at::kFloat, at::kCPU));
  value = value.to(at::kDouble);
  if (role.reads != nullptr) {
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor scale, ScaleSolver::stored_scale(layer, *role.reads));
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor bounds, ScaleSolver::stored_bounds(layer, name));
    value = value * scale.to(at::kDouble);
    if (bounds.defined()) value = layerwise::clip(value, bounds);
  }
  if (role.makes != nullptr) {
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor scale, ScaleSolver::stored_scale(layer, *role.makes));
    const at::Tensor divisor = layerwise::source_values(scale.to(at::kDouble), role.makes->sharing);
    value = value.dim() == 1 ? (value + role.offset) / divisor - role.offset
                             : value / divisor.unsqueeze(1);
  }
  return value;
}

absl::Status write_tensor(const format::Checkpoint& input, const std::string& name,
                          const Roles& roles, layerwise::LayerReader& layers,
                          format::CheckpointWriter& writer) {
  const auto role = roles.find(name);
  if (role == roles.end()) {
    FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(name));
    return writer.write(name, bytes);
  }
  FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer* layer, layers.require(role->second.layer));
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor value, tensor::guarded(name, [&] {
                            return smoothed(input, name, role->second, *layer);
                          }));
  return tensor::write(writer, name, value);
}

struct Sums {
  int64_t groups = 0, changed = 0;
  double before = 0, after = 0, log_ratio = 0, clip_before = 0, clip_after = 0;
  double outliers_before = 0, outliers = 0;
  bool clipped = false, rounded = false;
};

void add(const MatrixRecord& record, Sums& sums) {
  ++sums.groups;
  sums.outliers_before += record.outlier_ratio_before.value_or(0);
  sums.outliers += record.outlier_ratio.value_or(0);
  if (record.clip_error) {
    sums.clipped = true;
    sums.clip_before += record.clip_error_before.value_or(0);
    sums.clip_after += *record.clip_error;
  }
  if (!record.squared_error) return;
  sums.rounded = true;
  const double before = record.squared_error_before.value_or(0);
  const double after = *record.squared_error;
  sums.before += before;
  sums.after += after;
  if (before > 0 && after > 0) sums.log_ratio += std::log(after / before);
  if (after < before) ++sums.changed;
}

void report_rounding(pass::RunContext& context, const Sums& sums) {
  const auto groups = static_cast<double>(sums.groups);
  const auto share = [](double a, double b) {
    return b > 0 ? std::optional<double>(a / b) : std::nullopt;
  };
  context.statistic({.name = "predicted_error_ratio",
                     .value = share(sums.after, sums.before),
                     .help = "Squared output error of rounding to nearest on the grid with the "
                             "scales, over that without, summed over all groups; calibration text.",
                     .n = sums.groups});
  context.statistic({.name = "mean_error_ratio",
                     .value = sums.groups > 0
                                  ? std::optional<double>(std::exp(sums.log_ratio / groups))
                                  : std::nullopt,
                     .help = "Geometric mean over groups of the same ratio.",
                     .n = sums.groups});
  context.statistic(
      {.name = "scaled_groups",
       .value = static_cast<double>(sums.changed),
       .unit = "groups",
       .help = base::str_cat("Groups, of ", sums.groups, ", that a ratio other than 0 helps.")});
  if (!sums.clipped) return;
  context.statistic({.name = "clip_error_ratio",
                     .value = share(sums.clip_after, sums.clip_before),
                     .help =
                         "The same for clipping on top of the scales, of the groups' own blocks "
                         "of H."});
  context.warn(
      "smooth: clip = true limits weights, so that the result is not equivalent to its "
      "input any more; it is meant for a quantize step on the same grid");
}

}  // namespace

absl::Status write_smoothed(const format::Checkpoint& input, const std::vector<ScaleGroup>& groups,
                            bool keep_type, const LayerStore& store,
                            const std::filesystem::path& folder) {
  const Roles roles = find_roles(input.config(), groups);
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& expected : architecture::tensors(input.config())) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(expected.name));
    const bool widen = !keep_type && roles.contains(expected.name);
    tensors.push_back({expected.name, widen ? format::DType::kF32 : info.dtype, expected.shape});
  }
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, input.config(), tensors));
  layerwise::LayerReader layers(store);
  for (const format::CheckpointWriter::Tensor& tensor : tensors)
    FRUGAL_RETURN_IF_ERROR(write_tensor(input, tensor.name, roles, layers, writer));
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  return writer.finish();
}

absl::Status report_smoothed(pass::RunContext& context, const LayerStore& store) {
  Sums sums;
  std::vector<int64_t> layers(static_cast<size_t>(context.input()->config().layer_count()));
  std::iota(layers.begin(), layers.end(), 0);
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<MatrixRecord> records,
                          layerwise::stored_records(store, layers));
  for (const MatrixRecord& record : records) {
    add(record, sums);
    context.row("smoothing", to_json(record));
  }
  if (sums.rounded) report_rounding(context, sums);
  const auto mean = [&](double sum) {
    return sums.groups > 0 ? std::optional<double>(sum / static_cast<double>(sums.groups))
                           : std::nullopt;
  };
  context.statistic({.name = "outlier_ratio_before",
                     .value = mean(sums.outliers_before),
                     .help = "Largest over mean of the channels' largest inputs, mean over groups: "
                             "what rounding activations suffers from."});
  context.statistic({.name = "outlier_ratio",
                     .value = mean(sums.outliers),
                     .help = "The same after the scales."});
  return absl::OkStatus();
}

}  // namespace frugal::passes
