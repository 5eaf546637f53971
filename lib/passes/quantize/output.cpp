// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/output.h"

#include <set>
#include <string>

#include "base/process.h"
#include "base/text.h"
#include "layerwise/walk/layer_reader.h"
#include "passes/common/matrix_report.h"
#include "passes/common/zeros.h"
#include "passes/quantize/grid_solver.h"
#include "tensor/aten.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using layerwise::MatrixRecord;
using Place = PlannedTensor::Place;

absl::StatusOr<grid::QuantizedMatrix> rounded_embedding(const format::Checkpoint& input,
                                                        const PlannedTensor& tensor,
                                                        grid::ScaleSearch search) {
  const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
  FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(tensor.grid, columns));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, input.values(tensor.name));
  return grid::round_to_nearest(std::move(grid), values.data(), rows, columns, {}, search);
}

absl::StatusOr<grid::QuantizedMatrix> planned_matrix(const format::Checkpoint& input,
                                                     const PlannedTensor& tensor,
                                                     grid::ScaleSearch search,
                                                     layerwise::LayerReader& layers) {
  if (tensor.place == Place::kEmbedding) return rounded_embedding(input, tensor, search);
  FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer* layer, layers.require(tensor.layer));
  return GridSolver::stored_matrix(*layer, tensor.name, tensor.grid, tensor.shape[0],
                                   tensor.shape[1]);
}

// Writes one tensor as the walk left it, one at a time: packed blocks go over as they are stored.
absl::Status write_stored(const format::Checkpoint& input, const PlannedTensor& tensor,
                          grid::ScaleSearch search, layerwise::LayerReader& layers,
                          format::CheckpointWriter& writer) {
  if (tensor.place == Place::kEmbedding) {
    FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix matrix,
                            rounded_embedding(input, tensor, search));
    return writer.write_codes(tensor.name, matrix);
  }
  FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer* layer, layers.require(tensor.layer));
  const int64_t rows = tensor.shape[0];
  FRUGAL_ASSIGN_OR_RETURN(
      const std::span<const std::byte> blocks,
      layer->bytes(tensor.name, format::DType::kU8, {rows, tensor.size_bytes / rows}));
  FRUGAL_RETURN_IF_ERROR(writer.write(tensor.name, blocks));
  base::release_pages(blocks);
  return absl::OkStatus();
}

// The records of every layer of the plan, in order.
absl::StatusOr<std::vector<MatrixRecord>> planned_records(const std::vector<PlannedTensor>& plan,
                                                          const LayerStore& store) {
  std::set<int64_t> layers;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place == Place::kLayer || tensor.place == Place::kHead) layers.insert(tensor.layer);
  }
  return layerwise::stored_records(store, {layers.begin(), layers.end()});
}

struct Summary {
  int64_t measured = 0, recoveries = 0, fallbacks = 0;
  double before_sum = 0, worst = -1;
  int64_t with_before = 0;
  std::string worst_name;
  int64_t sweeps_on_cpu = 0;  // that should have run on a device
  std::string why_on_cpu;
};

Summary summarize(const std::vector<MatrixRecord>& records) {
  Summary summary;
  for (const MatrixRecord& record : records) {
    summary.recoveries += record.recoveries.value_or(0);
    summary.fallbacks += record.fell_back.value_or(false) ? 1 : 0;
    if (record.sweep_fallback) {
      ++summary.sweeps_on_cpu;
      summary.why_on_cpu = *record.sweep_fallback;
    }
    if (!record.error_after) continue;
    ++summary.measured;
    if (record.error_before) {
      ++summary.with_before;
      summary.before_sum += *record.error_before;
    }
    if (*record.error_after > summary.worst) {
      summary.worst = *record.error_after;
      summary.worst_name = record.matrix.value_or("");
    }
  }
  return summary;
}

void report_error_statistics(pass::RunContext& context, const std::vector<MatrixRecord>& records,
                             const Summary& summary) {
  report_mean_error(context, records);
  context.statistic({.name = "mean_relative_error_nearest",
                     .value = summary.with_before > 0
                                  ? std::optional<double>(summary.before_sum /
                                                          static_cast<double>(summary.with_before))
                                  : std::nullopt,
                     .unit = "",
                     .help = "The same for rounding to nearest with the same importance.",
                     .n = summary.with_before});
  context.statistic(
      {.name = "worst_relative_error",
       .value = summary.measured > 0 ? std::optional<double>(summary.worst) : std::nullopt,
       .unit = "",
       .help = base::str_cat("The largest of them", summary.worst_name.empty() ? "" : ": ",
                             summary.worst_name, ".")});
  context.statistic({.name = "recoveries",
                     .value = static_cast<double>(summary.recoveries),
                     .unit = "",
                     .help = "Times a factorization needed more damping than asked for."});
}

void warn_of_fallbacks(pass::RunContext& context, const std::vector<MatrixRecord>& records,
                       const Summary& summary) {
  if (summary.sweeps_on_cpu > 0) {
    context.warn(base::str_cat(
        summary.sweeps_on_cpu, " of ", records.size(),
        " matrices were swept on the CPU and not on the device: ", summary.why_on_cpu));
  }
  warn_of_dead_columns(context, records);
  if (summary.fallbacks > 0) {
    context.warn(base::str_cat(
        summary.fallbacks, " of ", records.size(),
        " matrices were rounded to nearest because their input statistics could not be "
        "factorized; calibrate on more text"));
  }
}

// Of zeros that the input came with, unless new ones were chosen.
void warn_of_zeros(pass::RunContext& context, const std::vector<MatrixRecord>& records,
                   bool keeps_zeros) {
  int64_t pruned = 0, given = 0, filled = 0;
  for (const MatrixRecord& record : records) {
    const int64_t zeros = record.zeros_given.value_or(0);
    given += zeros;
    const bool chosen = !keeps_zeros && record.zeros.has_value();
    const auto weights = static_cast<double>(record.weights.value_or(0));
    if (chosen || static_cast<double>(zeros) < kPrunedShare * weights) continue;
    if (record.zeros_filled.value_or(0) == 0) continue;
    ++pruned;
    filled += *record.zeros_filled;
  }
  if (keeps_zeros && given == 0) {
    context.warn(
        "keep_zeros is set, but the input has no zero in any of its matrices: its zeros, if it was "
        "pruned, were lost in a step before (rotate, finetune, quantize without keep_zeros)");
  }
  if (pruned > 0) {
    context.warn(base::str_cat(filled, " weights that came as zeros, in ", pruned, " of ",
                               records.size(),
                               " matrices, were rounded to other values (layer_error, "
                               "zeros_filled); set keep_zeros: true to keep them"));
  }
}

void report_size_statistics(pass::RunContext& context, const std::vector<PlannedTensor>& plan,
                            int64_t total_bytes) {
  int64_t bytes = 0, weights = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.grid.empty()) continue;
    bytes += tensor.size_bytes;
    weights += tensor.shape[0] * tensor.shape[1];
  }
  context.statistic({.name = "bits_per_weight",
                     .value = 8.0 * static_cast<double>(bytes) / static_cast<double>(weights),
                     .unit = "bits",
                     .help = "Of the quantized weights, scales included."});
  context.statistic({.name = "quantized_weights",
                     .value = static_cast<double>(weights),
                     .unit = "weights",
                     .help = "How many weights are on the grid."});
  context.statistic({.name = "weight_bytes",
                     .value = static_cast<double>(total_bytes),
                     .unit = "bytes",
                     .help = "All weights of the model, kept ones included."});
}

}  // namespace

absl::StatusOr<train::QuantizedMatrices> planned_matrices(const format::Checkpoint& input,
                                                          const std::vector<PlannedTensor>& plan,
                                                          grid::ScaleSearch search,
                                                          const LayerStore& store) {
  train::QuantizedMatrices matrices;
  layerwise::LayerReader layers(store);
  for (const PlannedTensor& tensor : plan) {
    if (tensor.grid.empty()) continue;
    absl::StatusOr<grid::QuantizedMatrix> matrix = planned_matrix(input, tensor, search, layers);
    if (!matrix.ok()) return base::annotate(matrix.status(), tensor.name);
    matrices.emplace(tensor.name, *std::move(matrix));
  }
  return matrices;
}

absl::Status write_quantized(const format::Checkpoint& input,
                             const std::vector<PlannedTensor>& plan, grid::ScaleSearch search,
                             format::Activations activations, const LayerStore& store,
                             const train::QuantizedMatrices* tuned,
                             const std::filesystem::path& folder) {
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const PlannedTensor& tensor : plan) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(tensor.name));
    format::CheckpointWriter::Tensor declared{tensor.name, info.dtype, tensor.shape, std::nullopt};
    if (!tensor.grid.empty()) declared.grid = tensor.grid;
    if (tensor.place == Place::kLayer) declared.activations = activations;
    tensors.push_back(std::move(declared));
  }
  FRUGAL_ASSIGN_OR_RETURN(
      format::CheckpointWriter writer,
      format::CheckpointWriter::create(folder, input.config(), std::move(tensors)));
  layerwise::LayerReader layers(store);
  for (const PlannedTensor& tensor : plan) {
    if (tensor.grid.empty()) {
      FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(tensor.name));
      FRUGAL_RETURN_IF_ERROR(writer.write(tensor.name, bytes));
      if (bytes.is_mapped()) base::release_pages(bytes);
    } else if (tuned != nullptr) {
      FRUGAL_RETURN_IF_ERROR(writer.write_codes(tensor.name, tuned->at(tensor.name)));
    } else {
      FRUGAL_RETURN_IF_ERROR(
          base::annotate(write_stored(input, tensor, search, layers, writer), tensor.name));
    }
  }
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  return writer.finish();
}

absl::Status report_quantized(pass::RunContext& context, const std::vector<PlannedTensor>& plan,
                              bool keeps_zeros, const LayerStore& store) {
  FRUGAL_ASSIGN_OR_RETURN(std::vector<MatrixRecord> records, planned_records(plan, store));
  const Summary summary = summarize(records);
  report_error_statistics(context, records, summary);
  warn_of_fallbacks(context, records, summary);
  warn_of_zeros(context, records, keeps_zeros);
  report_layer_errors(context, std::move(records));
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint output,
                          format::Checkpoint::open(context.output_folder()));
  report_size_statistics(context, plan, output.weight_bytes());
  return absl::OkStatus();
}

}  // namespace frugal::passes
