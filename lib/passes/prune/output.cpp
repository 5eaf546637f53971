#include "passes/prune/output.h"

#include <ATen/ATen.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "base/text.h"
#include "model/architecture.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;

struct Place {
  int64_t layer;
  bool reads_neurons;  // down; else its rows are neurons
};

absl::StatusOr<std::map<std::string, Place, std::less<>>> places(
    const format::ModelConfig& config, const WidthSolverOptions& options) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(config));
  std::map<std::string, Place, std::less<>> result;
  for (int64_t layer = 0; layer < config.layer_count; ++layer) {
    for (const size_t stage : {options.in_stage, options.out_stage}) {
      for (const std::string& matrix : stages[stage].matrices) {
        result.emplace(model::weight_name(layer, matrix), Place{layer, stage == options.out_stage});
      }
    }
  }
  return result;
}

absl::StatusOr<LayerStore::Layer> stored_layer(const LayerStore& store, int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(std::optional<LayerStore::Layer> stored, store.read(layer));
  if (!stored) return base::internal("layer ", layer, " was not stored");
  return *std::move(stored);
}

std::vector<std::byte> select_rows(std::span<const std::byte> bytes, int64_t rows,
                                   const std::vector<int64_t>& kept) {
  const size_t row_bytes = bytes.size() / static_cast<size_t>(rows);
  std::vector<std::byte> result(kept.size() * row_bytes);
  for (size_t i = 0; i < kept.size(); ++i) {
    std::memcpy(result.data() + i * row_bytes,
                bytes.data() + static_cast<size_t>(kept[i]) * row_bytes, row_bytes);
  }
  return result;
}

absl::Status write_tensor(const format::Checkpoint& input, const std::string& name,
                          const Place* place, int64_t keep, const LayerStore& store,
                          format::CheckpointWriter& writer) {
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(name));
  if (place == nullptr) return writer.write(name, bytes);
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(name));
  FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, stored_layer(store, place->layer));
  if (place->reads_neurons) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values,
                            WidthSolver::stored_weights(layer, info.shape[0], keep));
    return writer.write_values(name, values);
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept,
                          WidthSolver::stored_neurons(layer, keep));
  return writer.write(name, select_rows(bytes, info.shape[0], kept));
}

double number_or(const base::Json& record, const char* key, double fallback) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : fallback;
}

void write_statistics(pass::RunContext& context, const std::vector<base::Json>& records,
                      const format::ModelConfig& before, const format::Checkpoint& output) {
  double sum = 0;
  int64_t measured = 0;
  for (const base::Json& record : records) {
    const double error = number_or(record, "error_after", -1);
    if (error < 0) continue;
    sum += error;
    ++measured;
  }
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  context.statistic(
      {.name = "mean_relative_error",
       .value = measured > 0 ? std::optional<double>(sum / number(measured)) : std::nullopt,
       .help = "Mean over layers of the squared error of the feed-forward output relative to it, "
               "on the "
               "calibration text, against what the step aimed at.",
       .n = measured});
  context.statistic({.name = "neurons_kept",
                     .value = number(output.config().intermediate_size),
                     .unit = "neurons",
                     .help = base::str_cat("Feed-forward neurons of a layer, of ",
                                           before.intermediate_size, ".")});
  context.statistic({.name = "parameters_before",
                     .value = number(before.parameter_count()),
                     .unit = "parameters",
                     .help = "Of the input model."});
  context.statistic({.name = "parameters",
                     .value = number(output.config().parameter_count()),
                     .unit = "parameters",
                     .help = "Of the pruned model."});
  context.statistic({.name = "weight_bytes",
                     .value = number(output.weight_bytes()),
                     .unit = "bytes",
                     .help = "All weights of the pruned model."});
}

}  // namespace

absl::Status write_narrowed(const format::Checkpoint& input, const WidthSolverOptions& options,
                            const LayerStore& store, const std::filesystem::path& folder) {
  format::ModelConfig config = input.config();
  config.intermediate_size = options.keep;
  FRUGAL_ASSIGN_OR_RETURN(const auto narrowed, places(config, options));
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const format::ExpectedTensor& expected : format::expected_tensors(config)) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(expected.name));
    tensors.push_back({expected.name, info.dtype, expected.shape, std::nullopt});
  }
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, config, tensors));
  for (const format::CheckpointWriter::Tensor& tensor : tensors) {
    const auto place = narrowed.find(tensor.name);
    FRUGAL_RETURN_IF_ERROR(write_tensor(input, tensor.name,
                                        place == narrowed.end() ? nullptr : &place->second,
                                        options.keep, store, writer));
  }
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  return writer.finish();
}

absl::Status report_narrowed(pass::RunContext& context, const LayerStore& store) {
  const format::ModelConfig& before = context.input()->config();
  std::vector<base::Json> records;
  double squared_sum = 0;
  for (int64_t number = 0; number < before.layer_count; ++number) {
    FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, stored_layer(store, number));
    for (const base::Json& record : layer.record()) {
      records.push_back(record);
      squared_sum += number_or(record, "squared_error", 0);
    }
  }
  for (base::Json record : records) {
    const double squared = number_or(record, "squared_error", -1);
    record["share"] =
        squared >= 0 && squared_sum > 0 ? base::Json(squared / squared_sum) : base::Json();
    context.row("layer_error", std::move(record));
  }
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint output,
                          format::Checkpoint::open(context.output_folder()));
  write_statistics(context, records, before, output);
  return absl::OkStatus();
}

}  // namespace frugal::passes
