#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "architecture/tensors.h"
#include "base/json.h"
#include "format/checkpoint.h"
#include "format/checkpoint_files.h"
#include "format/checkpoint_layout.h"
#include "format/shards.h"

namespace frugal::format {
namespace fs = std::filesystem;
using base::Json;

struct CheckpointWriter::State {
  fs::path folder;
  architecture::ModelConfig config;
  CheckpointLayout layout;
  size_t next = 0;  // of layout.tensors
  struct Shard {
    std::string file_name;
    SafetensorsWriter writer;
    size_t written = 0;  // of writer.infos()
  };
  std::vector<Shard> shards;
  // Tensors whose place in the file comes later than their turn (see SafetensorsWriter); rare and
  // at most a few.
  std::map<std::string, std::vector<std::byte>, std::less<>> waiting;
  std::vector<fs::path> side_files;
  bool finished = false;

  absl::StatusOr<const PlannedTensor*> take(std::string_view name);
  absl::Status store(const PlannedTensor& tensor, std::span<const std::byte> bytes);
  absl::Status write_stored(const FileTensor& tensor, std::span<const std::byte> bytes);
  absl::Status refuse_not_finite(const PlannedTensor& tensor,
                                 std::span<const std::byte> bytes) const;
  absl::Status refuse_other_weights() const;
  absl::Status check_room() const;
  absl::Status create_shards();
  absl::Status publish();
  Json index() const;
};

// The next declared tensor, which must be called `name`.
absl::StatusOr<const PlannedTensor*> CheckpointWriter::State::take(std::string_view name) {
  if (finished) return base::internal("tensor '", name, "' came after finish()");
  if (next == layout.tensors.size())
    return base::internal("tensor '", name, "' came after the last declared one");
  const PlannedTensor& tensor = layout.tensors[next];
  if (tensor.declared.name != name) {
    return base::internal("tensor '", name, "' came where '", tensor.declared.name,
                          "' was declared");
  }
  return &tensor;
}

absl::Status CheckpointWriter::State::store(const PlannedTensor& tensor,
                                            std::span<const std::byte> bytes) {
  if (static_cast<int64_t>(bytes.size()) != tensor.size_bytes) {
    return base::invalid_argument("tensor '", tensor.declared.name, "' has ", bytes.size(),
                                  " bytes, expected ", tensor.size_bytes);
  }
  ++next;
  FileTensor& whole = layout.stored[tensor.stored];
  const bool transposed = whole.tensor.transposed;
  if (whole.tensor.parts.size() == 1 && !transposed) return write_stored(whole, bytes);
  whole.gathered.resize(static_cast<size_t>(whole.size_bytes));
  std::byte* const to = whole.gathered.data() + tensor.offset;
  if (transposed) {
    const int64_t rows = tensor.stored_shape[0], columns = tensor.stored_shape[1];
    copy_transposed({bytes.data(), columns}, rows, columns, size_bytes(tensor.stored_dtype),
                    {to, whole.tensor.shape.back()});
  } else {
    std::copy(bytes.begin(), bytes.end(), to);
  }
  if (++whole.parts_here < whole.tensor.parts.size()) return absl::OkStatus();
  return write_stored(whole, std::exchange(whole.gathered, {}));
}

absl::Status CheckpointWriter::State::write_stored(const FileTensor& tensor,
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

// In parts: a copy of a large tensor in fp32 would need more memory than everything else.
absl::Status CheckpointWriter::State::refuse_not_finite(const PlannedTensor& tensor,
                                                        std::span<const std::byte> bytes) const {
  const std::optional<size_t> bad = first_not_finite(tensor.stored_dtype, bytes);
  if (!bad) return absl::OkStatus();
  const auto size = static_cast<size_t>(size_bytes(tensor.stored_dtype));
  float value = 0;
  convert_to_f32(tensor.stored_dtype, bytes.subspan(*bad * size, size), &value);
  return base::failed(folder.string(), ": tensor '", tensor.declared.name, "' holds ",
                      std::to_string(value), " at element ", *bad, "; refusing to write it");
}

// Files that a reader would take instead of, or beside, the new ones.
absl::Status CheckpointWriter::State::refuse_other_weights() const {
  const std::string_view other = layout.shard_count == 1 ? kIndexFile : kSingleFile;
  std::error_code ignored;
  if (!fs::exists(folder / other, ignored)) return absl::OkStatus();
  return base::failed(
      folder.string(), ": already holds '", other,
      "', which would contradict the weights to be written; write to an empty folder");
}

absl::Status CheckpointWriter::State::check_room() const {
  int64_t needed = 0;
  for (const FileTensor& tensor : layout.stored) needed += tensor.size_bytes;
  FRUGAL_ASSIGN_OR_RETURN(const int64_t available, base::free_bytes(folder));
  if (needed <= available) return absl::OkStatus();
  return base::resource_exhausted(
      folder.string(), ": the weights need ", base::format_bytes(static_cast<double>(needed)),
      ", the disk has ", base::format_bytes(static_cast<double>(available)),
      " left; make room or choose another folder");
}

absl::Status CheckpointWriter::State::create_shards() {
  for (size_t shard = 0; shard < layout.shard_count; ++shard) {
    std::vector<SafetensorsWriter::Declaration> declarations;
    for (const FileTensor& tensor : layout.stored) {
      if (tensor.shard != shard) continue;
      declarations.push_back({tensor.tensor.name, tensor.tensor.dtype, tensor.tensor.shape});
    }
    std::string file_name = shard_name(shard, layout.shard_count);
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
  for (const FileTensor& tensor : layout.stored) {
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
    const fs::path path = folder / side_file_place(source);
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) return base::system_error("create", path.parent_path().string(), error.value());
    FRUGAL_RETURN_IF_ERROR(prepare(path, mapped.bytes()));
  }
  if (layout.shard_count > 1) {
    FRUGAL_RETURN_IF_ERROR(prepare(folder / kIndexFile, std::string_view(index().dump(2) + "\n")));
  }
  FRUGAL_RETURN_IF_ERROR(prepare(
      folder / kConfigFile, std::string_view(config_json(config, layout.tensors).dump(2) + "\n")));

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
  absl::StatusOr<CheckpointLayout> layout = lay_out(config, std::move(tensors), max_shard_bytes);
  if (!layout.ok()) return base::annotate(layout.status(), folder.string());
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->config = config;
  state->layout = *std::move(layout);
  FRUGAL_RETURN_IF_ERROR(state->refuse_other_weights());
  FRUGAL_RETURN_IF_ERROR(state->check_room());
  FRUGAL_RETURN_IF_ERROR(state->create_shards());
  return CheckpointWriter(std::move(state));
}

absl::Status CheckpointWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const PlannedTensor* tensor, state_->take(name));
  // Bytes are taken as they are, so that NaN must be looked for here, too.
  if (!tensor->grid) FRUGAL_RETURN_IF_ERROR(state_->refuse_not_finite(*tensor, bytes));
  return state_->store(*tensor, bytes);
}

absl::Status CheckpointWriter::write_values(std::string_view name, std::span<const float> values) {
  FRUGAL_ASSIGN_OR_RETURN(const PlannedTensor* tensor, state_->take(name));
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
  FRUGAL_ASSIGN_OR_RETURN(const PlannedTensor* tensor, state_->take(name));
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
  if (state_->next != state_->layout.tensors.size()) {
    return base::internal("tensor '", state_->layout.tensors[state_->next].declared.name,
                          "' was declared but never written");
  }
  state_->finished = true;
  absl::Status status = state_->publish();
  state_->shards.clear();  // removes what is left under temporary names
  return status;
}

}  // namespace frugal::format
