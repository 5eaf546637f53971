// Tested by: tests/passes/prune_test.cpp
#include "passes/prune/output.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "architecture/tensors.h"
#include "base/text.h"
#include "layerwise/pruning/width.h"
#include "layerwise/walk/layer_reader.h"
#include "passes/common/matrix_report.h"
#include "tensor/transfer.h"

namespace frugal::passes {
namespace {

using layerwise::LayerStore;
using layerwise::MatrixRecord;

// Writes the named tensor of the output.
using WriteTensor =
    std::function<absl::Status(const std::string& name, format::CheckpointWriter& writer)>;

// Every tensor that `config` demands, in the dtype of the input's `source_of(name)`.
absl::Status write_checkpoint(const format::Checkpoint& input,
                              const architecture::ModelConfig& config,
                              const std::function<std::string(const std::string&)>& source_of,
                              const WriteTensor& write, const std::filesystem::path& folder) {
  std::vector<format::CheckpointWriter::Tensor> tensors;
  for (const architecture::Tensor& expected : architecture::tensors(config)) {
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
struct CutPlace {
  int64_t layer = 0;
  const Cut* cut = nullptr;
  bool reads = false;  // its columns are the structures; else its rows
};

std::map<std::string, CutPlace, std::less<>> cut_places(const architecture::ModelConfig& config,
                                                        const std::vector<Cut>& cuts) {
  std::map<std::string, CutPlace, std::less<>> result;
  for (const architecture::Tensor& tensor : architecture::tensors(config)) {
    for (const Cut& cut : cuts) {
      // A bias belongs to the rows of its matrix.
      const bool makes = std::find(cut.rows.begin(), cut.rows.end(),
                                   architecture::matrix_of(tensor.role)) != cut.rows.end();
      if (cut.expert != architecture::kNoExpert && cut.expert != tensor.expert) continue;
      if (makes || tensor.role == cut.reader)
        result.emplace(tensor.name, CutPlace{tensor.layer, &cut, !makes});
    }
  }
  return result;
}

absl::Status write_cut(const format::Checkpoint& input, const std::string& name,
                       const CutPlace& place, layerwise::LayerReader& layers,
                       format::CheckpointWriter& writer) {
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(name));
  FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer* layer, layers.require(place.layer));
  if (place.reads) {
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor values,
                            CutSolver::stored_weights(*layer, *place.cut, info.shape[0]));
    return tensor::write(writer, name, values);
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(name));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> kept,
                          CutSolver::stored_structures(*layer, *place.cut));
  const int64_t rows = info.shape[0];
  return writer.write(
      name, select_rows(bytes, rows, layerwise::elements_of(kept, rows / place.cut->count)));
}

absl::Status write_stored(const LayerStore::Layer& layer, const std::string& name,
                          format::CheckpointWriter& writer) {
  FRUGAL_ASSIGN_OR_RETURN(const at::Tensor values, layer.tensor(name, layer.info(name).shape));
  return tensor::write(writer, name, values);
}

std::string same_name(const std::string& name) { return name; }

// Of all layers, and of the head where it was solved.
absl::StatusOr<std::vector<MatrixRecord>> solved_records(const pass::RunContext& context,
                                                         const LayerStore& store) {
  const int64_t head = context.input()->config().layer_count();
  std::vector<int64_t> layers(static_cast<size_t>(head));
  std::iota(layers.begin(), layers.end(), 0);
  FRUGAL_ASSIGN_OR_RETURN(const auto stored_head, store.read(head));
  if (stored_head) layers.push_back(head);
  return layerwise::stored_records(store, layers);
}

void warn_of_fallbacks(pass::RunContext& context, const std::vector<MatrixRecord>& records) {
  int64_t fell_back = 0, unfinished = 0;
  for (const MatrixRecord& record : records) {
    fell_back += record.fell_back.value_or(false) ? 1 : 0;
    unfinished += record.rows_unfinished.value_or(0) > 0 ? 1 : 0;
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

architecture::ModelConfig narrowed_config(architecture::ModelConfig config,
                                          const std::vector<Cut>& cuts) {
  for (architecture::Layer& layer : config.layers) {
    architecture::Attention& attention = layer.attention;
    for (const Cut& cut : cuts) {
      if (cut.what == "neurons") {
        layer.feed_forward.width = cut.keep;
      } else if (cut.what == "heads") {
        attention.heads = cut.keep;
      } else {
        attention.heads = cut.keep * (attention.heads / attention.key_value_heads);
        attention.key_value_heads = cut.keep;
      }
    }
  }
  return config;
}

absl::Status write_narrowed(const format::Checkpoint& input, const std::vector<Cut>& cuts,
                            const LayerStore& store, const std::filesystem::path& folder) {
  const auto narrowed = cut_places(input.config(), cuts);
  layerwise::LayerReader layers(store);
  const WriteTensor write = [&](const std::string& name, format::CheckpointWriter& writer) {
    const auto place = narrowed.find(name);
    if (place == narrowed.end()) return copy_tensor(input, name, name, writer);
    return write_cut(input, name, place->second, layers, writer);
  };
  return write_checkpoint(input, narrowed_config(input.config(), cuts), same_name, write, folder);
}

absl::Status write_masked(const format::Checkpoint& input, const LayerStore& store,
                          const std::filesystem::path& folder) {
  std::map<std::string, int64_t, std::less<>> layer_of;
  for (const architecture::Tensor& tensor : architecture::tensors(input.config())) {
    if (tensor.is_stage_matrix()) layer_of.emplace(tensor.name, tensor.layer);
  }
  layerwise::LayerReader layers(store);
  const WriteTensor write = [&](const std::string& name,
                                format::CheckpointWriter& writer) -> absl::Status {
    const auto found = layer_of.find(name);
    if (found == layer_of.end()) return copy_tensor(input, name, name, writer);
    FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer* layer, layers.require(found->second));
    if (!layer->has(name)) return copy_tensor(input, name, name, writer);  // stayed dense
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(name));
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor values, layer->tensor(name, info.shape));
    return tensor::write(writer, name, values);
  };
  return write_checkpoint(input, input.config(), same_name, write, folder);
}

architecture::ModelConfig shallower_config(architecture::ModelConfig config,
                                           const std::vector<int64_t>& kept) {
  std::vector<architecture::Layer> layers;
  for (const int64_t layer : kept) layers.push_back(config.layers[static_cast<size_t>(layer)]);
  config.layers = std::move(layers);
  return config;
}

architecture::ModelConfig with_experts(architecture::ModelConfig config,
                                       const std::vector<std::vector<int64_t>>& kept) {
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i].empty()) continue;
    architecture::Experts& experts = config.layers[i].experts.value();
    experts.count = static_cast<int64_t>(kept[i].size());
    experts.per_token = std::min(experts.per_token, experts.count);
  }
  return config;
}

absl::Status write_with_experts(const format::Checkpoint& input,
                                const std::vector<std::vector<int64_t>>& kept,
                                const LayerStore* changed, const std::filesystem::path& folder) {
  const architecture::ModelConfig config = with_experts(input.config(), kept);
  const auto places = architecture::places(config);
  const auto kept_of = [&](const architecture::Place& place) -> const std::vector<int64_t>& {
    static const std::vector<int64_t> kNone;
    return place.layer == architecture::kNoLayer ? kNone : kept[static_cast<size_t>(place.layer)];
  };
  const auto source_of = [&](const std::string& name) -> std::string {
    const architecture::Place& place = places.find(name)->second;
    if (place.expert == architecture::kNoExpert) return name;
    const int64_t expert = kept_of(place)[static_cast<size_t>(place.expert)];
    return architecture::tensor_name(input.config(), place.role, place.layer, expert);
  };
  std::optional<layerwise::LayerReader> layers;
  if (changed != nullptr) layers.emplace(*changed);
  const WriteTensor write = [&](const std::string& name,
                                format::CheckpointWriter& writer) -> absl::Status {
    const architecture::Place& place = places.find(name)->second;
    if (layers && !kept_of(place).empty()) {
      FRUGAL_ASSIGN_OR_RETURN(const LayerStore::Layer* layer, layers->require(place.layer));
      if (layer->has(name)) return write_stored(*layer, name, writer);
    }
    if (place.role != architecture::Role::kRouter || kept_of(place).empty())
      return copy_tensor(input, source_of(name), name, writer);
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, input.info(name));
    FRUGAL_ASSIGN_OR_RETURN(const auto bytes, input.bytes(name));
    return writer.write(name, select_rows(bytes, info.shape[0], kept_of(place)));
  };
  return write_checkpoint(input, config, source_of, write, folder);
}

absl::Status write_shallower(const format::Checkpoint& input, const std::vector<int64_t>& kept,
                             const std::filesystem::path& folder) {
  const architecture::ModelConfig config = shallower_config(input.config(), kept);
  const auto places = architecture::places(config);
  const auto source_of = [&](const std::string& name) -> std::string {
    const auto [role, layer, expert] = places.find(name)->second;
    if (layer == architecture::kNoLayer) return name;
    return architecture::tensor_name(input.config(), role, kept[static_cast<size_t>(layer)],
                                     expert);
  };
  const WriteTensor write = [&](const std::string& name, format::CheckpointWriter& writer) {
    return copy_tensor(input, source_of(name), name, writer);
  };
  return write_checkpoint(input, config, source_of, write, folder);
}

absl::Status report_errors(pass::RunContext& context, const LayerStore& store) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<MatrixRecord> records, solved_records(context, store));
  report_layer_errors(context, records);
  report_mean_error(context, records);
  warn_of_dead_columns(context, records);
  warn_of_fallbacks(context, records);
  return absl::OkStatus();
}

absl::Status report_zeros(pass::RunContext& context, const LayerStore& store) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<MatrixRecord> records, solved_records(context, store));
  double zeros = 0, weights = 0;
  for (const MatrixRecord& record : records) {
    zeros += static_cast<double>(record.zeros.value_or(0));
    weights += static_cast<double>(record.weights.value_or(0));
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
    if (cut.expert > 0) continue;  // the same number in all of them
    context.statistic({.name = base::str_cat(cut.what, "_kept"),
                       .value = static_cast<double>(cut.keep),
                       .unit = cut.what,
                       .help = base::str_cat("In every layer", cut.expert == 0 ? " and expert" : "",
                                             ", of ", cut.count, ".")});
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
