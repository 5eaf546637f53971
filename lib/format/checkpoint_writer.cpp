#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "architecture/tensors.h"
#include "base/json.h"
#include "format/checkpoint.h"
#include "format/checkpoint_files.h"
#include "format/slices.h"

namespace frugal::format {
namespace {

namespace fs = std::filesystem;
using base::Json;

// A declared tensor as it will be stored.
struct Planned {
  CheckpointWriter::Tensor declared;
  std::shared_ptr<const grid::Grid> grid;  // null: floating point
  DType stored_dtype = DType::kF32;
  std::vector<int64_t> stored_shape;
  int64_t size_bytes = 0;
  size_t stored = 0;   // in State::stored
  int64_t offset = 0;  // of its bytes in that
};

// A tensor of the files.
struct Stored {
  StoredTensor tensor;
  int64_t size_bytes = 0;
  size_t shard = 0;
  std::vector<std::byte> gathered = {};  // what has come of a fused one
  size_t parts_here = 0;
};

absl::StatusOr<Planned> plan_tensor(CheckpointWriter::Tensor tensor, bool in_layer) {
  Planned planned;
  planned.stored_dtype = tensor.dtype;
  planned.stored_shape = tensor.shape;
  if (tensor.grid) {
    if (tensor.shape.size() != 2) {
      return base::invalid_argument("tensor '", tensor.name, "' has ", tensor.shape.size(),
                                    " dimensions; only matrices can be quantized");
    }
    FRUGAL_ASSIGN_OR_RETURN(planned.grid, grid::find_grid(*tensor.grid, tensor.shape[1]));
    const grid::GridSpec& spec = planned.grid->spec();
    FRUGAL_RETURN_IF_ERROR(grid::check_columns(spec, tensor.shape[1], tensor.name));
    planned.stored_dtype = DType::kU8;
    planned.stored_shape = {tensor.shape[0],
                            tensor.shape[1] / spec.block_columns * spec.block_bytes};
    FRUGAL_RETURN_IF_ERROR(check_activations(tensor.activations, spec, tensor.name, in_layer));
  } else if (tensor.activations != Activations::kFloat) {
    return base::invalid_argument("tensor '", tensor.name, "' is not quantized; activations ",
                                  name(tensor.activations), " need weights on grid int8:row");
  } else if (!is_floating(tensor.dtype)) {
    return base::invalid_argument("tensor '", tensor.name,
                                  "': weights are stored as F32, F16 or BF16, not ",
                                  name(tensor.dtype));
  }
  planned.size_bytes = size_bytes(planned.stored_dtype);
  for (const int64_t dimension : planned.stored_shape) planned.size_bytes *= dimension;
  planned.declared = std::move(tensor);
  return planned;
}

// The declared tensors are exactly the ones of the config, each once, with its shape.
absl::Status check_declared(const architecture::ModelConfig& config,
                            const std::vector<CheckpointWriter::Tensor>& tensors) {
  std::map<std::string_view, const CheckpointWriter::Tensor*> declared;
  for (const CheckpointWriter::Tensor& tensor : tensors) {
    if (!declared.emplace(tensor.name, &tensor).second) {
      return base::invalid_argument("tensor '", tensor.name, "' is declared twice");
    }
  }
  for (const architecture::Tensor& expected : architecture::tensors(config)) {
    const auto found = declared.find(expected.name);
    if (found == declared.end()) {
      return base::invalid_argument("tensor '", expected.name, "' of the config is not declared");
    }
    if (found->second->shape != expected.shape) {
      return base::invalid_argument("tensor '", expected.name,
                                    "' is declared with another shape than the config demands");
    }
    declared.erase(found);
  }
  if (declared.empty()) return absl::OkStatus();
  return base::invalid_argument("tensor '", declared.begin()->first,
                                "' is not one of the config's");
}

// How the planned tensors lie in the files; tells them their places there.
absl::StatusOr<std::vector<Stored>> place_tensors(const architecture::ModelConfig& config,
                                                  std::vector<Planned>& tensors) {
  std::vector<DeclaredTensor> declared;
  for (const Planned& tensor : tensors) {
    declared.push_back(
        {tensor.declared.name, tensor.stored_dtype, tensor.stored_shape, tensor.grid != nullptr});
  }
  FRUGAL_ASSIGN_OR_RETURN(std::vector<StoredTensor> places, stored_tensors(config, declared));
  std::vector<Stored> result;
  for (StoredTensor& place : places) {
    int64_t bytes = 0;
    for (size_t i = 0; i < place.parts.size(); ++i) {
      Planned& part = tensors[place.parts[i]];
      part.stored = result.size();
      part.offset = place.offsets[i];
      bytes += part.size_bytes;
    }
    result.push_back({.tensor = std::move(place), .size_bytes = bytes});
  }
  return result;
}

// Deals the tensors out in order; returns the number of shards.
size_t assign_shards(std::vector<Stored>& tensors, int64_t max_shard_bytes) {
  size_t shard = 0;
  int64_t filled = 0;
  for (Stored& tensor : tensors) {
    if (filled > 0 && filled + tensor.size_bytes > max_shard_bytes) {
      ++shard;
      filled = 0;
    }
    tensor.shard = shard;
    filled += tensor.size_bytes;
  }
  return shard + 1;
}

std::string shard_name(size_t shard, size_t count) {
  if (count == 1) return std::string(kSingleFile);
  char text[64];
  std::snprintf(text, sizeof(text), "model-%05zu-of-%05zu.safetensors", shard + 1, count);
  return text;
}

// The floating-point type that holds most bytes; what other tools call the model's dtype.
std::optional<std::string> main_dtype(const std::vector<Planned>& tensors) {
  std::map<DType, int64_t> bytes;
  for (const Planned& tensor : tensors) {
    if (!tensor.grid) bytes[tensor.stored_dtype] += tensor.size_bytes;
  }
  if (bytes.empty()) return std::nullopt;
  const auto largest = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (largest->first == DType::kF32) return "float32";
  return largest->first == DType::kF16 ? "float16" : "bfloat16";
}

Json config_json(const architecture::ModelConfig& config, const std::vector<Planned>& tensors) {
  Json json = architecture::to_json(config);
  if (const std::optional<std::string> dtype = main_dtype(tensors)) {
    json["torch_dtype"] = *dtype;
    if (json.contains("dtype")) json["dtype"] = *dtype;
  }
  Json quantized = Json::object();
  int64_t version = 1;
  for (const Planned& tensor : tensors) {
    if (!tensor.grid) continue;
    quantized[tensor.declared.name] = {{"grid", tensor.grid->spec().name},
                                       {"shape", tensor.declared.shape}};
    if (tensor.declared.activations == Activations::kFloat) continue;
    version = 2;  // a reader of version 1 would compute something else without a word
    quantized[tensor.declared.name]["activations"] = name(tensor.declared.activations);
  }
  if (!json.contains("frugal") || !json["frugal"].is_object()) json["frugal"] = Json::object();
  json["frugal"]["version"] = version;
  json["frugal"]["quantized"] = quantized;
  json.erase("quantization_config");
  if (!quantized.empty()) json["quantization_config"] = {{"quant_method", kQuantMethod}};
  return json;
}

}  // namespace

struct CheckpointWriter::State {
  fs::path folder;
  architecture::ModelConfig config;
  std::vector<Planned> tensors;  // as declared
  size_t next = 0;
  std::vector<Stored> stored;  // as they lie in the files
  struct Shard {
    std::string file_name;
    SafetensorsWriter writer;
    size_t written = 0;  // of writer.infos()
  };
  size_t shard_count = 1;
  std::vector<Shard> shards;
  // Tensors whose place in the file comes later than their turn (see SafetensorsWriter); rare and
  // at most a few.
  std::map<std::string, std::vector<std::byte>, std::less<>> waiting;
  std::vector<fs::path> side_files;
  bool finished = false;

  absl::StatusOr<const Planned*> take(std::string_view name);
  absl::Status store(const Planned& tensor, std::span<const std::byte> bytes);
  absl::Status write_stored(const Stored& tensor, std::span<const std::byte> bytes);
  absl::Status refuse_other_weights() const;
  absl::Status check_room() const;
  absl::Status create_shards();
  absl::Status publish();
  Json index() const;
};

// The next declared tensor, which must be called `name`.
absl::StatusOr<const Planned*> CheckpointWriter::State::take(std::string_view name) {
  if (finished) return base::internal("tensor '", name, "' came after finish()");
  if (next == tensors.size())
    return base::internal("tensor '", name, "' came after the last declared one");
  const Planned& tensor = tensors[next];
  if (tensor.declared.name != name) {
    return base::internal("tensor '", name, "' came where '", tensor.declared.name,
                          "' was declared");
  }
  return &tensor;
}

absl::Status CheckpointWriter::State::store(const Planned& tensor,
                                            std::span<const std::byte> bytes) {
  if (static_cast<int64_t>(bytes.size()) != tensor.size_bytes) {
    return base::invalid_argument("tensor '", tensor.declared.name, "' has ", bytes.size(),
                                  " bytes, expected ", tensor.size_bytes);
  }
  ++next;
  Stored& whole = stored[tensor.stored];
  if (whole.tensor.parts.size() == 1) return write_stored(whole, bytes);
  whole.gathered.resize(static_cast<size_t>(whole.size_bytes));
  std::copy(bytes.begin(), bytes.end(), whole.gathered.begin() + tensor.offset);
  if (++whole.parts_here < whole.tensor.parts.size()) return absl::OkStatus();
  return write_stored(whole, std::exchange(whole.gathered, {}));
}

absl::Status CheckpointWriter::State::write_stored(const Stored& tensor,
                                                   std::span<const std::byte> bytes) {
  Shard& shard = shards[tensor.shard];
  const std::vector<TensorInfo>& infos = shard.writer.infos();
  if (infos[shard.written].name == tensor.tensor.name) {
    FRUGAL_RETURN_IF_ERROR(shard.writer.write(tensor.tensor.name, bytes));
    ++shard.written;
  } else {
    waiting.emplace(tensor.tensor.name, std::vector<std::byte>(bytes.begin(), bytes.end()));
  }
  while (shard.written < infos.size()) {
    const auto ready = waiting.find(infos[shard.written].name);
    if (ready == waiting.end()) break;
    FRUGAL_RETURN_IF_ERROR(shard.writer.write(ready->first, ready->second));
    waiting.erase(ready);
    ++shard.written;
  }
  return absl::OkStatus();
}

// Files that a reader would take instead of, or beside, the new ones.
absl::Status CheckpointWriter::State::refuse_other_weights() const {
  const std::string_view other = shard_count == 1 ? kIndexFile : kSingleFile;
  std::error_code ignored;
  if (!fs::exists(folder / other, ignored)) return absl::OkStatus();
  return base::failed(
      folder.string(), ": already holds '", other,
      "', which would contradict the weights to be written; write to an empty folder");
}

absl::Status CheckpointWriter::State::check_room() const {
  int64_t needed = 0;
  for (const Stored& tensor : stored) needed += tensor.size_bytes;
  FRUGAL_ASSIGN_OR_RETURN(const int64_t available, base::free_bytes(folder));
  if (needed <= available) return absl::OkStatus();
  return base::resource_exhausted(
      folder.string(), ": the weights need ", base::format_bytes(static_cast<double>(needed)),
      ", the disk has ", base::format_bytes(static_cast<double>(available)),
      " left; make room or choose another folder");
}

absl::Status CheckpointWriter::State::create_shards() {
  for (size_t shard = 0; shard < shard_count; ++shard) {
    std::vector<SafetensorsWriter::Declaration> declarations;
    for (const Stored& tensor : stored) {
      if (tensor.shard != shard) continue;
      declarations.push_back({tensor.tensor.name, tensor.tensor.dtype, tensor.tensor.shape});
    }
    std::string file_name = shard_name(shard, shard_count);
    // transformers refuses files whose metadata does not name a framework.
    FRUGAL_ASSIGN_OR_RETURN(
        SafetensorsWriter writer,
        SafetensorsWriter::create(folder / file_name, std::move(declarations), {{"format", "pt"}}));
    shards.push_back({std::move(file_name), std::move(writer)});
  }
  return absl::OkStatus();
}

Json CheckpointWriter::State::index() const {
  int64_t total = 0;
  std::map<std::string, std::string> file_of;
  for (const Stored& tensor : stored) {
    total += tensor.size_bytes;
    file_of[tensor.tensor.name] = shards[tensor.shard].file_name;
  }
  Json json;
  json["metadata"]["total_size"] = total;
  json["weight_map"] = file_of;
  return json;
}

// Prepares every remaining file under a temporary name, then renames all; config.json last. What
// was renamed before a failure is removed again.
absl::Status CheckpointWriter::State::publish() {
  std::vector<std::pair<fs::path, base::AtomicFile>> small_files;
  const auto prepare = [&](const fs::path& path, auto content) -> absl::Status {
    FRUGAL_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::create(path));
    FRUGAL_RETURN_IF_ERROR(file.write(content));
    small_files.emplace_back(path, std::move(file));
    return absl::OkStatus();
  };
  for (const fs::path& source : side_files) {
    FRUGAL_ASSIGN_OR_RETURN(const base::MappedFile mapped, base::MappedFile::open(source));
    FRUGAL_RETURN_IF_ERROR(prepare(folder / source.filename(), mapped.bytes()));
  }
  if (shard_count > 1) {
    FRUGAL_RETURN_IF_ERROR(prepare(folder / kIndexFile, std::string_view(index().dump(2) + "\n")));
  }
  FRUGAL_RETURN_IF_ERROR(
      prepare(folder / kConfigFile, std::string_view(config_json(config, tensors).dump(2) + "\n")));

  std::vector<fs::path> published;
  absl::Status status;
  for (Shard& shard : shards) {
    if (status = shard.writer.commit(); !status.ok()) break;
    published.push_back(folder / shard.file_name);
  }
  for (auto& [path, file] : small_files) {
    if (!status.ok()) break;
    if (status = file.commit(); status.ok()) published.push_back(path);
  }
  if (status.ok()) return status;
  for (const fs::path& path : published) {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
  return status;
}

CheckpointWriter::CheckpointWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter::~CheckpointWriter() = default;

absl::StatusOr<CheckpointWriter> CheckpointWriter::create(const fs::path& folder,
                                                          const architecture::ModelConfig& config,
                                                          std::vector<Tensor> tensors,
                                                          int64_t max_shard_bytes) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    return base::not_found(folder.string(),
                           ": no such folder; create it before writing a checkpoint");
  }
  const absl::Status declared = check_declared(config, tensors);
  if (!declared.ok()) return base::annotate(declared, folder.string());
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->config = config;
  const auto places = architecture::places(config);
  for (Tensor& tensor : tensors) {
    const bool in_layer = places.find(tensor.name)->second.layer != architecture::kNoLayer;
    FRUGAL_ASSIGN_OR_RETURN(Planned planned, plan_tensor(std::move(tensor), in_layer));
    state->tensors.push_back(std::move(planned));
  }
  FRUGAL_ASSIGN_OR_RETURN(state->stored, place_tensors(config, state->tensors));
  state->shard_count = assign_shards(state->stored, max_shard_bytes);
  FRUGAL_RETURN_IF_ERROR(state->refuse_other_weights());
  FRUGAL_RETURN_IF_ERROR(state->check_room());
  FRUGAL_RETURN_IF_ERROR(state->create_shards());
  return CheckpointWriter(std::move(state));
}

absl::Status CheckpointWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const Planned* tensor, state_->take(name));
  if (!tensor->grid) {
    // Bytes are taken as they are, so NaN must be looked for here too.
    std::vector<float> values(bytes.size() / static_cast<size_t>(size_bytes(tensor->stored_dtype)));
    convert_to_f32(
        tensor->stored_dtype,
        bytes.first(values.size() * static_cast<size_t>(size_bytes(tensor->stored_dtype))),
        values.data());
    if (const std::optional<size_t> bad = first_not_finite(values)) {
      return base::failed(state_->folder.string(), ": tensor '", name, "' holds ",
                          std::to_string(values[*bad]), " at element ", *bad,
                          "; refusing to write it");
    }
  }
  return state_->store(*tensor, bytes);
}

absl::Status CheckpointWriter::write_values(std::string_view name, std::span<const float> values) {
  FRUGAL_ASSIGN_OR_RETURN(const Planned* tensor, state_->take(name));
  if (tensor->grid) {
    return base::internal("tensor '", name, "' is declared on grid ", tensor->grid->spec().name,
                          "; write its codes, not values");
  }
  std::vector<std::byte> bytes(values.size() *
                               static_cast<size_t>(size_bytes(tensor->stored_dtype)));
  FRUGAL_RETURN_IF_ERROR(convert_from_f32(
      values, tensor->stored_dtype, base::str_cat(state_->folder.string(), ": tensor '", name, "'"),
      bytes.data()));
  return state_->store(*tensor, bytes);
}

absl::Status CheckpointWriter::write_codes(std::string_view name,
                                           const grid::QuantizedMatrix& matrix) {
  FRUGAL_ASSIGN_OR_RETURN(const Planned* tensor, state_->take(name));
  if (!tensor->grid)
    return base::internal("tensor '", name, "' is declared as ", format::name(tensor->stored_dtype),
                          ", not on a grid");
  const std::vector<int64_t> shape = {matrix.rows, matrix.columns};
  if (matrix.grid->spec().name != tensor->grid->spec().name || shape != tensor->declared.shape) {
    return base::internal("tensor '", name, "' came as ", matrix.grid->spec().name, " [",
                          matrix.rows, ", ", matrix.columns, "], declared on ",
                          tensor->grid->spec().name, " with another shape or grid");
  }
  return state_->store(*tensor, grid::pack_matrix(matrix));
}

absl::Status CheckpointWriter::copy_side_files(const Checkpoint& source) {
  state_->side_files = source.side_files();
  return absl::OkStatus();
}

absl::Status CheckpointWriter::finish() {
  if (state_->finished) return base::internal("finish() was called twice");
  if (state_->next != state_->tensors.size()) {
    return base::internal("tensor '", state_->tensors[state_->next].declared.name,
                          "' was declared but never written");
  }
  state_->finished = true;
  absl::Status status = state_->publish();
  state_->shards.clear();  // removes what is left under temporary names
  return status;
}

}  // namespace frugal::format
