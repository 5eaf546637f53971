// Tested by: tests/passes/quantize_test.cpp
#include "passes/quantize/output.h"

#include <ATen/ATen.h>

#include <set>
#include <string>

#include "base/text.h"
#include "passes/common/layer_gate.h"
#include "passes/common/zeros.h"
#include "passes/quantize/grid_solver.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using Place = PlannedTensor::Place;

absl::StatusOr<LayerStore::Layer> stored_layer(const LayerStore& store, int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(std::optional<LayerStore::Layer> stored, store.read(layer));
  if (!stored) return base::internal("layer ", layer, " was not stored");
  return *std::move(stored);
}

absl::StatusOr<grid::QuantizedMatrix> planned_matrix(const format::Checkpoint& input,
                                                     const PlannedTensor& tensor,
                                                     const LayerStore& store) {
  const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
  if (tensor.place == Place::kEmbedding) {
    FRUGAL_ASSIGN_OR_RETURN(auto grid, grid::find_grid(tensor.grid, columns));
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, input.values(tensor.name));
    return grid::round_to_nearest(std::move(grid), values.data(), rows, columns, {}, true);
  }
  FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, stored_layer(store, tensor.layer));
  return GridSolver::stored_matrix(layer, tensor.name, tensor.grid, rows, columns);
}

// The records of every layer of the plan, in order.
absl::StatusOr<std::vector<base::Json>> stored_records(const std::vector<PlannedTensor>& plan,
                                                       const LayerStore& store) {
  std::set<int64_t> layers;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.place == Place::kLayer || tensor.place == Place::kHead) layers.insert(tensor.layer);
  }
  std::vector<base::Json> records;
  for (const int64_t number : layers) {
    FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, stored_layer(store, number));
    for (const base::Json& record : layer.record()) records.push_back(record);
  }
  return records;
}

double number_or(const base::Json& record, const char* key, double fallback) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : fallback;
}

struct Summary {
  int64_t matrices = 0, measured = 0, recoveries = 0, fallbacks = 0;
  double error_sum = 0, before_sum = 0, squared_sum = 0, worst = -1;
  int64_t with_before = 0;
  std::string worst_name;
  int64_t sweeps_on_cpu = 0;  // that should have run on a device
  std::string why_on_cpu;
};

Summary summarize(const std::vector<base::Json>& records) {
  Summary summary;
  for (const base::Json& record : records) {
    ++summary.matrices;
    summary.recoveries += static_cast<int64_t>(number_or(record, "recoveries", 0));
    summary.fallbacks += record.value("fell_back", false) ? 1 : 0;
    if (const auto why = record.find("sweep_fallback"); why != record.end() && why->is_string()) {
      ++summary.sweeps_on_cpu;
      summary.why_on_cpu = why->get<std::string>();
    }
    const double error = number_or(record, "error_after", -1);
    if (error < 0) continue;
    ++summary.measured;
    summary.error_sum += error;
    summary.squared_sum += number_or(record, "squared_error", 0);
    if (const double before = number_or(record, "error_before", -1); before >= 0) {
      ++summary.with_before;
      summary.before_sum += before;
    }
    if (error > summary.worst) {
      summary.worst = error;
      summary.worst_name = record.value("matrix", "");
    }
  }
  return summary;
}

void write_rows(pass::RunContext& context, std::vector<base::Json> records, double squared_sum) {
  for (base::Json& record : records) {
    const double squared = number_or(record, "squared_error", -1);
    record["share"] =
        squared >= 0 && squared_sum > 0 ? base::Json(squared / squared_sum) : base::Json();
    context.row("layer_error", std::move(record));
  }
}

void write_error_statistics(pass::RunContext& context, const std::vector<base::Json>& records,
                            const Summary& summary) {
  const auto mean = [](double sum, int64_t count) {
    return count > 0 ? std::optional<double>(sum / static_cast<double>(count)) : std::nullopt;
  };
  context.statistic({.name = "mean_relative_error",
                     .value = mean(summary.error_sum, summary.measured),
                     .unit = "",
                     .help = "Mean over matrices of the squared output error relative to the "
                             "output, on the calibration "
                             "text, against what the step aimed at.",
                     .n = summary.measured});
  context.statistic({.name = "mean_relative_error_nearest",
                     .value = mean(summary.before_sum, summary.with_before),
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
  if (summary.sweeps_on_cpu > 0) {
    context.warn(base::str_cat(
        summary.sweeps_on_cpu, " of ", summary.matrices,
        " matrices were swept on the CPU and not on the device: ", summary.why_on_cpu));
  }
  warn_of_dead_columns(context, records);
  if (summary.fallbacks > 0) {
    context.warn(base::str_cat(
        summary.fallbacks, " of ", summary.matrices,
        " matrices were rounded to nearest because their input statistics could not be "
        "factorized; calibrate on more text"));
  }
}

// Of zeros that the input came with, unless new ones were chosen.
void warn_of_zeros(pass::RunContext& context, const std::vector<base::Json>& records,
                   bool keeps_zeros) {
  int64_t pruned = 0;
  double given = 0, filled = 0;
  for (const base::Json& record : records) {
    const double zeros = number_or(record, "zeros_given", 0);
    given += zeros;
    const bool chosen = !keeps_zeros && number_or(record, "zeros", -1) >= 0;
    if (chosen || zeros < kPrunedShare * number_or(record, "weights", 0)) continue;
    if (number_or(record, "zeros_filled", 0) == 0) continue;
    ++pruned;
    filled += number_or(record, "zeros_filled", 0);
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

void write_size_statistics(pass::RunContext& context, const std::vector<PlannedTensor>& plan,
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
                                                          const LayerStore& store) {
  train::QuantizedMatrices matrices;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.grid.empty()) continue;
    absl::StatusOr<grid::QuantizedMatrix> matrix = planned_matrix(input, tensor, store);
    if (!matrix.ok()) return base::annotate(matrix.status(), tensor.name);
    matrices.emplace(tensor.name, *std::move(matrix));
  }
  return matrices;
}

absl::Status write_quantized(const format::Checkpoint& input,
                             const std::vector<PlannedTensor>& plan,
                             format::Activations activations,
                             const train::QuantizedMatrices& matrices,
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
  for (const PlannedTensor& tensor : plan) {
    if (const auto found = matrices.find(tensor.name); found != matrices.end()) {
      FRUGAL_RETURN_IF_ERROR(writer.write_codes(tensor.name, found->second));
      continue;
    }
    FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(tensor.name));
    FRUGAL_RETURN_IF_ERROR(writer.write(tensor.name, bytes));
  }
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  return writer.finish();
}

absl::Status report_quantized(pass::RunContext& context, const std::vector<PlannedTensor>& plan,
                              bool keeps_zeros, const LayerStore& store) {
  FRUGAL_ASSIGN_OR_RETURN(std::vector<base::Json> records, stored_records(plan, store));
  const Summary summary = summarize(records);
  write_error_statistics(context, records, summary);
  warn_of_zeros(context, records, keeps_zeros);
  write_rows(context, std::move(records), summary.squared_sum);
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint output,
                          format::Checkpoint::open(context.output_folder()));
  write_size_statistics(context, plan, output.weight_bytes());
  return absl::OkStatus();
}

}  // namespace frugal::passes
