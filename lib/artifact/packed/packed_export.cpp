// Tested by: tests/artifact/packed_export_test.cpp
#include "artifact/packed/packed_export.h"

#include <algorithm>
#include <map>
#include <set>

#include "artifact/packed/layout.h"
#include "artifact/packed/stored_tensors.h"
#include "artifact/read_back.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "format/checkpoint_files.h"
#include "format/convert.h"
#include "format/metadata.h"
#include "format/shards.h"

namespace frugal::artifact {
namespace {

namespace fs = std::filesystem;
using architecture::Role;
using architecture::Tensor;
using base::Json;
using base::str_cat;
using format::Checkpoint;
using format::DType;

// The type of a weight's plain numbers.
using TypeOf = std::function<absl::StatusOr<DType>(const Tensor&)>;

class Planner {
 public:
  Planner(const PackedMethod& method, const format::ModelInfo& model, TypeOf type_of)
      : method_(method), model_(model), type_of_(std::move(type_of)) {
    for (const Tensor& part : architecture::tensors(model.config)) {
      const std::string* grid = grid_of(part);
      if (grid != nullptr && part.is_stage_matrix()) layer_grids_.insert(*grid);
    }
  }

  absl::StatusOr<PackedExportPlan> plan() {
    FRUGAL_RETURN_IF_ERROR(refuse_transposed());
    PackedExportPlan plan{.config = model_.config};
    plan.config.stacked_experts = false;  // packed experts are modules of their own
    FRUGAL_ASSIGN_OR_RETURN(plan.dtype, format::parse_dtype(model_.dtype));
    bool any = false;
    for (StoredModule& stored : stored_modules(plan.config)) {
      ExportModule module{.stored = std::move(stored)};
      FRUGAL_RETURN_IF_ERROR(choose(module));
      any = any || module.form.has_value();
      plan.modules.push_back(std::move(module));
    }
    if (any) return plan;
    return base::invalid_argument(
        "cannot write ", model_.name, " as ", method_.exporter->name,
        ": no matrix of its layers is on a grid, so that there is nothing to pack; quantize it "
        "first, or export to huggingface");
  }

 private:
  const std::string* grid_of(const Tensor& part) const {
    const auto found = model_.grids.find(part.name);
    return found == model_.grids.end() ? nullptr : &found->second;
  }

  absl::Status refused(const Tensor& part, std::string_view why) const {
    return base::invalid_argument("cannot write ", part.name, " as ", method_.exporter->name, ": ",
                                  why);
  }

  absl::Status refuse_transposed() const {
    for (const Tensor& part : architecture::tensors(model_.config)) {
      if (!part.slice || !part.slice->transposed || grid_of(part) == nullptr) continue;
      return refused(part, str_cat("a ", model_.config.architecture,
                                   " has Conv1D modules, whose matrices are stored turned round, "
                                   "and packed formats know linear modules alone; export to gguf, "
                                   "onnx or huggingface"));
    }
    return absl::OkStatus();
  }

  // All parts of a module on one grid, or none.
  absl::Status check_one_grid(const ExportModule& module) const {
    const Tensor& first = module.stored.parts.front();
    const auto text = [&](const Tensor& part) {
      const std::string* grid = grid_of(part);
      return str_cat(grid == nullptr ? "plain" : *grid,
                     model_.activations.contains(part.name) ? " with rounded inputs" : "");
    };
    for (const Tensor& part : module.stored.parts) {
      if (text(part) == text(first)) continue;
      return refused(part, str_cat("it is ", text(part), ", but ", first.name, " is ", text(first),
                                   ", and both are rows of one module, ", module.name(),
                                   "; quantize both on one grid (overrides)"));
    }
    return absl::OkStatus();
  }

  absl::Status choose(ExportModule& module) const {
    const Tensor& first = module.stored.parts.front();
    const bool on_grid = std::any_of(module.stored.parts.begin(), module.stored.parts.end(),
                                     [&](const Tensor& part) { return grid_of(part) != nullptr; });
    const bool looked_up = first.role == Role::kEmbedding || first.role == Role::kPositions;
    if (!on_grid || looked_up) return choose_type(module);
    FRUGAL_RETURN_IF_ERROR(check_one_grid(module));
    const std::string& name = *grid_of(first);
    // A head on a grid of its own would be a scheme of its own, which few loaders take.
    if (first.role == Role::kHead && !layer_grids_.contains(name)) return choose_type(module);
    FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(name, first.shape.back()));
    const absl::StatusOr<PackedForm> form = packed_form(grid->spec());
    if (!form.ok()) return refused(first, str_cat(form.status().message()));
    module.form = *form;
    module.int8_inputs = model_.activations.contains(first.name);
    const absl::Status fits = method_.check(module);
    return fits.ok() ? fits : refused(first, str_cat("grid ", name, ": ", fits.message()));
  }

  // Decoded numbers are fp32, as are fused ones of several types.
  absl::Status choose_type(ExportModule& module) const {
    std::set<DType> types;
    for (const Tensor& part : module.stored.parts) {
      FRUGAL_ASSIGN_OR_RETURN(const DType type,
                              grid_of(part) == nullptr ? type_of_(part) : DType::kF32);
      types.insert(type);
    }
    module.dtype = types.size() == 1 ? *types.begin() : DType::kF32;
    return absl::OkStatus();
  }

  const PackedMethod& method_;
  const format::ModelInfo& model_;
  TypeOf type_of_;
  std::set<std::string, std::less<>> layer_grids_;
};

absl::StatusOr<PackedExportPlan> plan_of(const PackedMethod& method,
                                         const format::ModelInfo& model) {
  return Planner(method, model, [&](const Tensor&) { return format::parse_dtype(model.dtype); })
      .plan();
}

absl::StatusOr<PackedExportPlan> plan_of(const PackedMethod& method, const Checkpoint& checkpoint) {
  const format::ModelInfo model = format::metadata_of(checkpoint);
  return Planner(method, model,
                 [&](const Tensor& part) -> absl::StatusOr<DType> {
                   FRUGAL_ASSIGN_OR_RETURN(const auto info, checkpoint.info(part.name));
                   return info.dtype;
                 })
      .plan();
}

std::vector<TensorDeclaration> declare(const PackedMethod& method, const PackedExportPlan& plan,
                                       const ExportModule& module) {
  if (module.form) return method.declare(plan, module);
  return {{stored_name(module.stored.parts.front()), module.dtype, module.stored.shape()}};
}

int64_t elements_of(const ExportModule& module) {
  int64_t count = 0;
  for (const Tensor& part : module.stored.parts) {
    int64_t weights = 1;
    for (const int64_t size : part.shape) weights *= size;
    count += weights;
  }
  return count;
}

int64_t size_of(const TensorDeclaration& tensor) {
  int64_t bytes = format::size_bytes(tensor.dtype);
  for (const int64_t size : tensor.shape) bytes *= size;
  return bytes;
}

std::string config_text(const PackedMethod& method, const PackedExportPlan& plan,
                        const ExportOptions& options) {
  Json json = architecture::to_json(plan.config);
  const char* type = plan.dtype == DType::kF32   ? "float32"
                     : plan.dtype == DType::kF16 ? "float16"
                                                 : "bfloat16";
  json["torch_dtype"] = type;
  if (json.contains("dtype")) json["dtype"] = type;
  // What a folder is made of stays (licence, languages); what makes one a checkpoint of ours goes.
  if (json.contains("frugal") && json["frugal"].is_object()) {
    for (const char* key : {"version", "quantized", "stacked_experts"}) json["frugal"].erase(key);
    if (json["frugal"].empty()) json.erase("frugal");
  }
  json["quantization_config"] = method.settings(plan, options);
  return json.dump(2) + "\n";
}

std::string own_text(const PackedMethod& method, const PackedExportPlan& plan,
                     const ExportOptions& options) {
  return method.settings(plan, options).dump(2) + "\n";
}

absl::StatusOr<PackedMatrix> matrix_of(const Checkpoint& checkpoint, const ExportModule& module) {
  PackedRows rows(*module.form, module.columns());
  for (const Tensor& part : module.stored.parts) {
    FRUGAL_ASSIGN_OR_RETURN(const grid::QuantizedMatrix codes, checkpoint.codes(part.name));
    rows.append(codes);
  }
  return std::move(rows).finish();
}

// The numbers of a plain module, its parts one below the other.
absl::StatusOr<std::vector<float>> values_of(const Checkpoint& checkpoint,
                                             const ExportModule& module) {
  std::vector<float> values;
  for (const Tensor& part : module.stored.parts) {
    FRUGAL_ASSIGN_OR_RETURN(std::vector<float> rows, checkpoint.values(part.name));
    if (module.stored.parts.size() == 1) return rows;
    values.insert(values.end(), rows.begin(), rows.end());
  }
  return values;
}

// The data of tensors by name; those of one module are made together.
class TensorMaker {
 public:
  TensorMaker(const PackedMethod& method, const Checkpoint& checkpoint,
              const PackedExportPlan& plan, const ExportOptions& options)
      : method_(method), checkpoint_(checkpoint), plan_(plan), options_(options) {}

  absl::StatusOr<const TensorData*> make(const ExportModule& module, size_t index) {
    if (held_ != &module) {
      data_.clear();
      FRUGAL_ASSIGN_OR_RETURN(data_, make_all(module));
      held_ = &module;
    }
    return &data_[index];
  }

 private:
  absl::StatusOr<std::vector<TensorData>> make_all(const ExportModule& module) const {
    if (module.form) {
      FRUGAL_ASSIGN_OR_RETURN(const PackedMatrix matrix, matrix_of(checkpoint_, module));
      return method_.pack(plan_, module, matrix, options_);
    }
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, values_of(checkpoint_, module));
    TensorData data(values.size() * static_cast<size_t>(format::size_bytes(module.dtype)));
    FRUGAL_RETURN_IF_ERROR(
        format::convert_from_f32(values, module.dtype, module.name(), data.data()));
    return std::vector<TensorData>{std::move(data)};
  }

  const PackedMethod& method_;
  const Checkpoint& checkpoint_;
  const PackedExportPlan& plan_;
  const ExportOptions& options_;
  const ExportModule* held_ = nullptr;
  std::vector<TensorData> data_;
};

// A tensor of the files: which of which module, and where.
struct PlacedTensor {
  TensorDeclaration declared;
  const ExportModule* module = nullptr;
  size_t index = 0;
  size_t shard = 0;
};

std::vector<PlacedTensor> place(const PackedMethod& method, const PackedExportPlan& plan,
                                const ExportOptions& options) {
  std::vector<PlacedTensor> placed;
  format::ShardDealer dealer(options.max_shard_bytes.value_or(format::kDefaultShardBytes));
  for (const ExportModule& module : plan.modules) {
    size_t index = 0;
    for (TensorDeclaration& tensor : declare(method, plan, module)) {
      const size_t shard = dealer.deal(size_of(tensor));
      placed.push_back({std::move(tensor), &module, index++, shard});
    }
  }
  return placed;
}

absl::Status write_shard(const fs::path& file, const std::vector<PlacedTensor>& placed,
                         size_t shard, TensorMaker& maker) {
  std::vector<TensorDeclaration> declared;
  std::map<std::string, const PlacedTensor*, std::less<>> by_name;
  for (const PlacedTensor& tensor : placed) {
    if (tensor.shard != shard) continue;
    declared.push_back(tensor.declared);
    by_name[tensor.declared.name] = &tensor;
  }
  // transformers refuses files whose metadata does not name a framework.
  FRUGAL_ASSIGN_OR_RETURN(auto writer, format::SafetensorsWriter::create(file, std::move(declared),
                                                                         {{"format", "pt"}}));
  for (const format::TensorInfo& info : std::vector(writer.infos())) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const PlacedTensor& tensor = *by_name.find(info.name)->second;
    FRUGAL_ASSIGN_OR_RETURN(const TensorData* data, maker.make(*tensor.module, tensor.index));
    FRUGAL_RETURN_IF_ERROR(writer.write(info.name, *data));
  }
  return writer.commit();
}

std::string index_text(const std::vector<PlacedTensor>& placed, size_t shards) {
  int64_t total = 0;
  std::map<std::string, std::string> file_of;
  for (const PlacedTensor& tensor : placed) {
    total += size_of(tensor.declared);
    file_of[tensor.declared.name] = format::shard_name(tensor.shard, shards);
  }
  Json json;
  json["metadata"]["total_size"] = total;
  json["weight_map"] = file_of;
  return json.dump(2) + "\n";
}

// Zero points that are all alike are none.
std::vector<uint8_t> zeros_of(const PackedMatrix& matrix) {
  if (!matrix.zeros.empty()) return matrix.zeros;
  const int middle = matrix.levels == PackedLevels::kInteger ? 1 << (matrix.bits - 1) : 0;
  return std::vector<uint8_t>(matrix.scales.size(), static_cast<uint8_t>(middle));
}

absl::Status same_codes(std::string_view folder, std::string_view module, const PackedMatrix& found,
                        const PackedMatrix& expected) {
  constexpr int64_t kAtOnce = int64_t{1} << 20;
  const int64_t chunk = std::max<int64_t>(1, kAtOnce / expected.columns);
  std::vector<uint8_t> one(static_cast<size_t>(chunk * expected.columns)), other(one);
  for (int64_t row = 0; row < expected.rows; row += chunk) {
    const int64_t count = std::min(chunk, expected.rows - row);
    found.read_codes(row, count, one.data());
    expected.read_codes(row, count, other.data());
    const auto end = one.begin() + count * expected.columns;
    const auto [a, b] = std::mismatch(one.begin(), end, other.begin());
    if (a == end) continue;
    const int64_t at = a - one.begin();
    return differs(folder, "'", module, "' has code ", static_cast<int>(*a), " at row ",
                   row + at / expected.columns, ", column ", at % expected.columns, ", expected ",
                   static_cast<int>(*b));
  }
  return absl::OkStatus();
}

absl::Status same_matrix(std::string_view folder, const ExportModule& module,
                         const PackedMatrix& found, const PackedMatrix& expected) {
  const bool same_form = found.levels == expected.levels && found.bits == expected.bits &&
                         found.group == expected.group && found.group_of.empty() &&
                         found.int8_inputs == module.int8_inputs;
  if (!same_form)
    return differs(folder, "'", module.name(), "' is packed otherwise than ", module.form->text());
  if (found.scales != expected.scales || zeros_of(found) != zeros_of(expected))
    return differs(folder, "'", module.name(), "' has other scales or zero points");
  return same_codes(folder, module.name(), found, expected);
}

absl::Status read_back_module(const Checkpoint& checkpoint, const ExportModule& module,
                              const StoredTensors& tensors, const Layout& layout) {
  const std::string& where = tensors.where();
  std::optional<PackedMatrix> found;
  if (module.columns() > 0) {
    FRUGAL_ASSIGN_OR_RETURN(found, layout.find(tensors, module.stored.module));
  }
  if (found.has_value() != module.form.has_value())
    return differs(where, "'", module.name(), "' is ", found ? "packed" : "not packed");
  if (found) {
    FRUGAL_ASSIGN_OR_RETURN(const PackedMatrix expected, matrix_of(checkpoint, module));
    return same_matrix(where, module, *found, expected);
  }
  const std::string& name = stored_name(module.stored.parts.front());
  FRUGAL_ASSIGN_OR_RETURN(
      const StoredView view,
      tensors.want(name, {module.dtype}, {module.stored.shape()}, "a module that is not packed"));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> expected, values_of(checkpoint, module));
  return same_values(where, name, module.stored.shape().back(), StoredTensors::floats(view),
                     expected);
}

}  // namespace

std::vector<std::string> PackedExportPlan::plain_modules() const {
  std::vector<std::string> names;
  for (const ExportModule& module : modules) {
    const Role role = module.stored.module.role;
    const bool linear =
        module.columns() > 0 && role != Role::kEmbedding && role != Role::kPositions;
    if (linear && !module.form) names.push_back(module.name());
  }
  const std::string head = architecture::tensor_name(config, Role::kHead);
  if (config.tied_embeddings) names.push_back(head.substr(0, head.rfind('.')));
  return names;
}

absl::Status check_packed(const PackedMethod& method, const format::ModelInfo& model,
                          std::vector<std::string>& warnings) {
  FRUGAL_ASSIGN_OR_RETURN(const PackedExportPlan plan, plan_of(method, model));
  for (const ExportModule& module : plan.modules) {
    const Tensor& first = module.stored.parts.front();
    const auto grid = model.grids.find(first.name);
    if (module.form || grid == model.grids.end()) continue;
    warnings.push_back(str_cat(
        first.name, " is on grid ", grid->second, " and is decoded to fp32 (",
        base::format_bytes(static_cast<double>(4 * first.shape[0] * first.shape[1])),
        "): ", method.exporter->name,
        first.role == Role::kHead
            ? " packs a head on the grid of the layers alone; quantize with head: keep to leave it "
              "as it is"
            : " packs linear modules alone; quantize with embeddings: keep to leave it as it is"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Forecast> packed_forecast(const PackedMethod& method, const format::ModelInfo& model,
                                         const ExportOptions& options) {
  constexpr int64_t kEntryBytes = 72;  // of a tensor in the header: type, shape, offsets
  FRUGAL_ASSIGN_OR_RETURN(const PackedExportPlan plan, plan_of(method, model));
  int64_t bytes = model.side_bytes;
  bytes += static_cast<int64_t>(config_text(method, plan, options).size());
  if (!method.own_file.empty())
    bytes += static_cast<int64_t>(own_text(method, plan, options).size());
  const std::vector<PlacedTensor> placed = place(method, plan, options);
  Forecast forecast{.bytes = bytes, .weight_files = placed.back().shard + 1};
  for (const PlacedTensor& tensor : placed) {
    const Tensor& first = tensor.module->stored.parts.front();
    const int64_t tensor_bytes = size_of(tensor.declared);
    forecast.bytes +=
        tensor_bytes + kEntryBytes + static_cast<int64_t>(tensor.declared.name.size());
    forecast.add(first.role,
                 tensor.module->form ? model.grids.find(first.name)->second
                                     : std::string(format::name(tensor.module->dtype)),
                 tensor.index == 0 ? elements_of(*tensor.module) : 0, tensor_bytes);
  }
  if (forecast.weight_files > 1)
    forecast.bytes += static_cast<int64_t>(index_text(placed, forecast.weight_files).size());
  return forecast;
}

absl::Status write_packed_folder(const PackedMethod& method, const Checkpoint& checkpoint,
                                 const ExportOptions& options, const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const PackedExportPlan plan, plan_of(method, checkpoint));
  const std::vector<PlacedTensor> placed = place(method, plan, options);
  const size_t shards = placed.back().shard + 1;
  TensorMaker maker(method, checkpoint, plan, options);
  for (size_t shard = 0; shard < shards; ++shard) {
    FRUGAL_RETURN_IF_ERROR(
        write_shard(folder / format::shard_name(shard, shards), placed, shard, maker));
  }
  if (shards > 1) {
    FRUGAL_RETURN_IF_ERROR(
        base::write_file_atomically(folder / format::kIndexFile, index_text(placed, shards)));
  }
  FRUGAL_RETURN_IF_ERROR(format::copy_side_files(checkpoint.folder(), folder));
  if (!method.own_file.empty()) {
    FRUGAL_RETURN_IF_ERROR(
        base::write_file_atomically(folder / method.own_file, own_text(method, plan, options)));
  }
  return base::write_file_atomically(folder / format::kConfigFile,
                                     config_text(method, plan, options));
}

absl::Status read_back_packed(const PackedMethod& method, const Checkpoint& checkpoint,
                              const ExportOptions& options, const fs::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const PackedExportPlan plan, plan_of(method, checkpoint));
  FRUGAL_RETURN_IF_ERROR(
      same_text(folder / format::kConfigFile, config_text(method, plan, options)));
  if (!method.own_file.empty())
    FRUGAL_RETURN_IF_ERROR(same_text(folder / method.own_file, own_text(method, plan, options)));
  FRUGAL_RETURN_IF_ERROR(same_side_files(folder, checkpoint.folder()));
  FRUGAL_ASSIGN_OR_RETURN(const auto packed, packed_folder(folder));
  if (!packed) return differs(folder.string(), "its config.json names no method of packing");
  FRUGAL_ASSIGN_OR_RETURN(const auto layout, layout_of(*packed));
  FRUGAL_ASSIGN_OR_RETURN(format::Weights weights, format::open_weights(folder));
  const StoredTensors tensors(std::move(weights), folder.string());
  std::set<std::string> known;
  for (const ExportModule& module : plan.modules) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    FRUGAL_RETURN_IF_ERROR(read_back_module(checkpoint, module, tensors, *layout));
    for (const TensorDeclaration& tensor : declare(method, plan, module)) {
      known.insert(tensor.name);
      base::release_pages(tensors.view(tensor.name).bytes);
    }
  }
  for (const std::string& name : tensors.names()) {
    if (!known.contains(name)) return differs(folder.string(), "there is a tensor '", name, "'");
  }
  return absl::OkStatus();
}

}  // namespace frugal::artifact
