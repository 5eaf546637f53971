// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/output.h"

#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "layerwise/pruning/width.h"
#include "model/architecture.h"
#include "passes/common/layer_gate.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;

absl::StatusOr<LayerStore::Layer> stored_layer(const LayerStore& store, int64_t layer) {
  FRUGAL_ASSIGN_OR_RETURN(std::optional<LayerStore::Layer> stored, store.read(layer));
  if (!stored) return base::internal("layer ", layer, " was not stored");
  return *std::move(stored);
}

// Writes the named tensor of the output.
using WriteTensor =
    std::function<absl::Status(const std::string& name, format::CheckpointWriter& writer)>;

// Every tensor that `config` demands, in the dtype of the input's `source_of(name)`.
absl::Status write_checkpoint(const format::Checkpoint& input, const format::ModelConfig& config,
                              const std::function<std::string(const std::string&)>& source_of,
                              const WriteTensor& write, const std::filesystem::path& folder) {
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const format::ExpectedTensor& expected : format::expected_tensors(config)) {
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(source_of(expected.name)));
    tensors.push_back({expected.name, info.dtype, expected.shape, std::nullopt});
  }
  FRUGAL_ASSIGN_OR_RETURN(format::CheckpointWriter writer,
                          format::CheckpointWriter::create(folder, config, tensors));
  for (const format::CheckpointWriter::Tensor& tensor : tensors)
    FRUGAL_RETURN_IF_ERROR(write(tensor.name, writer));
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(input));
  return writer.finish();
}

absl::Status copy_tensor(const format::Checkpoint& input, const std::string& source,
                         const std::string& name, format::CheckpointWriter& writer) {
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(source));
  return writer.write(name, bytes);
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

// Where a tensor meets a cut.
struct Place {
  int64_t layer = 0;
  const Cut* cut = nullptr;
  bool reads = false;  // its columns are the structures; else its rows
};

absl::StatusOr<std::map<std::string, Place, std::less<>>> places(const format::ModelConfig& config,
                                                                 const std::vector<Cut>& cuts) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(config));
  std::map<std::string, Place, std::less<>> result;
  for (int64_t layer = 0; layer < config.layer_count; ++layer) {
    for (const Cut& cut : cuts) {
      for (const std::string& matrix : cut.rows)
        result.emplace(model::weight_name(layer, matrix), Place{layer, &cut, false});
      for (const std::string& matrix : stages[cut.out_stage].matrices)
        result.emplace(model::weight_name(layer, matrix), Place{layer, &cut, true});
    }
  }
  return result;
}

absl::Status write_cut(const format::Checkpoint& input, const std::string& name, const Place& place,
                       const LayerStore& store, format::CheckpointWriter& writer) {
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(name));
  FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, stored_layer(store, place.layer));
  if (place.reads) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values,
                            CutSolver::stored_weights(layer, *place.cut, info.shape[0]));
    return writer.write_values(name, values);
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(name));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept,
                          CutSolver::stored_structures(layer, *place.cut));
  const int64_t rows = info.shape[0];
  return writer.write(
      name, select_rows(bytes, rows, layerwise::elements_of(kept, rows / place.cut->count)));
}

std::vector<float> stored_floats(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string same_name(const std::string& name) { return name; }

double number_or(const base::Json& record, const char* key, double fallback) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : fallback;
}

absl::StatusOr<std::vector<base::Json>> stored_records(const pass::RunContext& context,
                                                       const LayerStore& store) {
  std::vector<base::Json> records;
  for (int64_t number = 0; number < context.input()->config().layer_count; ++number) {
    FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, stored_layer(store, number));
    for (const base::Json& record : layer.record()) records.push_back(record);
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto head, store.read(context.input()->config().layer_count));
  if (head) records.insert(records.end(), head->record().begin(), head->record().end());
  return records;
}

void report_mean_error(pass::RunContext& context, const std::vector<base::Json>& records) {
  double sum = 0;
  int64_t measured = 0;
  for (const base::Json& record : records) {
    const double error = number_or(record, "error_after", -1);
    if (error < 0) continue;
    sum += error;
    ++measured;
  }
  context.statistic(
      {.name = "mean_relative_error",
       .value =
           measured > 0 ? std::optional<double>(sum / static_cast<double>(measured)) : std::nullopt,
       .help = "Mean over matrices of the squared error of their outputs relative to these, on the "
               "calibration text, against what the step aimed at.",
       .n = measured});
}

void warn_of(pass::RunContext& context, const std::vector<base::Json>& records) {
  int64_t fell_back = 0, unfinished = 0;
  for (const base::Json& record : records) {
    fell_back += record.value("fell_back", false) ? 1 : 0;
    unfinished += number_or(record, "rows_unfinished", 0) > 0 ? 1 : 0;
  }
  if (fell_back > 0) {
    context.warn(base::str_cat(
        "H could not be factorized for ", fell_back,
        " matrices (layer_error says which); they got Wanda's mask without a refit: calibrate on "
        "more text or raise `damping`"));
  }
  if (unfinished > 0) {
    context.warn(base::str_cat("the refit of rows of ", unfinished,
                               " matrices had not converged at its last step (layer_error, "
                               "rows_unfinished); raise `refit_steps` or `damping`"));
  }
}

}  // namespace

format::ModelConfig narrowed_config(format::ModelConfig config, const std::vector<Cut>& cuts) {
  for (const Cut& cut : cuts) {
    if (cut.what == "neurons") {
      config.intermediate_size = cut.keep;
    } else if (cut.what == "heads") {
      config.head_count = cut.keep;
    } else {
      config.head_count = cut.keep * (config.head_count / config.key_value_head_count);
      config.key_value_head_count = cut.keep;
    }
  }
  return config;
}

absl::Status write_narrowed(const format::Checkpoint& input, const std::vector<Cut>& cuts,
                            const LayerStore& store, const std::filesystem::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const auto narrowed, places(input.config(), cuts));
  const WriteTensor write = [&](const std::string& name, format::CheckpointWriter& writer) {
    const auto place = narrowed.find(name);
    if (place == narrowed.end()) return copy_tensor(input, name, name, writer);
    return write_cut(input, name, place->second, store, writer);
  };
  return write_checkpoint(input, narrowed_config(input.config(), cuts), same_name, write, folder);
}

absl::Status write_masked(const format::Checkpoint& input, const LayerStore& store,
                          const std::filesystem::path& folder) {
  std::map<std::string, int64_t, std::less<>> layer_of;
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(input.config()));
  for (int64_t layer = 0; layer < input.config().layer_count; ++layer) {
    for (const model::Stage& stage : stages) {
      for (const std::string& matrix : stage.matrices)
        layer_of.emplace(model::weight_name(layer, matrix), layer);
    }
  }
  const WriteTensor write = [&](const std::string& name,
                                format::CheckpointWriter& writer) -> absl::Status {
    const auto found = layer_of.find(name);
    if (found == layer_of.end()) return copy_tensor(input, name, name, writer);
    FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer layer, stored_layer(store, found->second));
    if (!layer.has(name)) return copy_tensor(input, name, name, writer);  // stayed dense
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(name));
    FRUGAL_ASSIGN_OR_RETURN(const auto bytes, layer.bytes(name, format::DType::kF32, info.shape));
    return writer.write_values(name, stored_floats(bytes));
  };
  return write_checkpoint(input, input.config(), same_name, write, folder);
}

absl::Status write_shallower(const format::Checkpoint& input, const std::vector<int64_t>& kept,
                             const std::filesystem::path& folder) {
  constexpr std::string_view kPrefix = "model.layers.";
  const auto source_of = [&](const std::string& name) -> std::string {
    if (!name.starts_with(kPrefix)) return name;
    const size_t dot = name.find('.', kPrefix.size());
    const auto layer = static_cast<size_t>(std::stoll(name.substr(kPrefix.size())));
    return base::str_cat(kPrefix, kept[layer], name.substr(dot));
  };
  format::ModelConfig config = input.config();
  config.layer_count = static_cast<int64_t>(kept.size());
  const WriteTensor write = [&](const std::string& name, format::CheckpointWriter& writer) {
    return copy_tensor(input, source_of(name), name, writer);
  };
  return write_checkpoint(input, config, source_of, write, folder);
}

absl::Status report_errors(pass::RunContext& context, const LayerStore& store) {
  FRUGAL_ASSIGN_OR_RETURN(std::vector<base::Json> records, stored_records(context, store));
  double squared_sum = 0;
  for (const base::Json& record : records) squared_sum += number_or(record, "squared_error", 0);
  for (base::Json record : records) {
    const double squared = number_or(record, "squared_error", -1);
    record["share"] =
        squared >= 0 && squared_sum > 0 ? base::Json(squared / squared_sum) : base::Json();
    context.row("layer_error", std::move(record));
  }
  report_mean_error(context, records);
  warn_of_dead_columns(context, records);
  warn_of(context, records);
  return absl::OkStatus();
}

absl::Status report_zeros(pass::RunContext& context, const LayerStore& store) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<base::Json> records, stored_records(context, store));
  double zeros = 0, weights = 0;
  for (const base::Json& record : records) {
    zeros += number_or(record, "zeros", 0);
    weights += number_or(record, "weights", 0);
  }
  context.statistic({.name = "zeros",
                     .value = zeros,
                     .unit = "weights",
                     .help = "Weights that are zero, in the matrices that were to have some."});
  context.statistic(
      {.name = "sparsity",
       .value = weights > 0 ? std::optional<double>(zeros / weights) : std::nullopt,
       .help = "The share of zeros in these matrices. Stored densely: files are as large as "
               "before, and only runtimes with sparse kernels are faster."});
  return absl::OkStatus();
}

void report_cuts(pass::RunContext& context, const std::vector<Cut>& cuts) {
  for (const Cut& cut : cuts) {
    context.statistic({.name = base::str_cat(cut.what, "_kept"),
                       .value = static_cast<double>(cut.keep),
                       .unit = cut.what,
                       .help = base::str_cat("In every layer, of ", cut.count, ".")});
  }
}

absl::Status report_sizes(pass::RunContext& context) {
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint output,
                          format::Checkpoint::open(context.output_folder()));
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  context.statistic({.name = "parameters_before",
                     .value = number(context.input()->config().parameter_count()),
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
  return absl::OkStatus();
}

}  // namespace frugal::passes
