// Tested by: tests/passes/export_pass_test.cpp
#include "artifact/exact_layout.h"
#include "artifact/exporter.h"
#include "artifact/gguf/gguf_model.h"
#include "artifact/gguf/gguf_read_back.h"
#include "artifact/gguf/tensor_scales.h"
#include "grid/grid.h"
#include "text/tokenizer.h"

namespace frugal::artifact {
namespace {

constexpr int64_t kAlignment = 32;  // of every tensor's bytes

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

int64_t elements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

struct Stored {
  std::string type;
  int64_t bytes = 0;
};

// The tensor in the file: codes on the grid they move to, vectors and positions in fp32, other
// matrices as they are stored.
absl::StatusOr<Stored> stored(const GgufSource& source, const format::ModelInfo& model) {
  const int64_t count = elements(source.shape);
  if (source.is_fp32()) return Stored{"F32", 4 * count};
  const std::string& weight = source.parts.front().name;  // check_gguf: all parts lie on its grid
  const auto entry = model.grids.find(weight);
  if (entry == model.grids.end()) return Stored{model.dtype, dtype_bytes(model.dtype) * count};
  const int64_t columns = source.shape.back();
  FRUGAL_ASSIGN_OR_RETURN(const auto name, gguf_grid_for(entry->second, columns));
  if (!name.has_value()) return no_gguf_layout(weight, entry->second);
  FRUGAL_ASSIGN_OR_RETURN(const auto grid, grid::find_grid(*name, columns));
  return Stored{*name, count / grid->spec().block_columns * grid->spec().block_bytes};
}

GgufOptions gguf_options(const ExportOptions& options) {
  GgufOptions result{
      .pre_tokenizer = options.pre_tokenizer, .eos = options.eos, .making = options.making};
  if (options.max_shard_bytes) result.max_part_bytes = *options.max_shard_bytes;
  return result;
}

absl::Status check(const format::ModelInfo& model, const ExportOptions& options,
                   std::vector<std::string>& warnings) {
  FRUGAL_RETURN_IF_ERROR(check_gguf(model, gguf_options(options)));
  if (model.tokenizer_folder.empty()) return absl::OkStatus();
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(model.tokenizer_folder));
  for (std::string& loss : gguf_losses(model.config, *tokenizer, gguf_options(options)))
    warnings.push_back(std::move(loss));
  return absl::OkStatus();
}

absl::StatusOr<Forecast> forecast(const format::ModelInfo& model, const ExportOptions& options) {
  // A tensor's entry: length and text of its name, number and sizes of dimensions, type, offset.
  constexpr int64_t kEntryBytes = 8 + 4 + 3 * 8 + 4 + 8;
  constexpr int64_t kMetadataBytes = 1 << 10;  // all but the tokenizer's
  Forecast forecast{.bytes = kMetadataBytes + model.side_bytes};
  std::vector<int64_t> sizes;
  const std::vector<GgufSource> sources = gguf_tensors(model.config);
  for (const GgufSource& source : sources) {
    FRUGAL_ASSIGN_OR_RETURN(const Stored tensor, stored(source, model));
    forecast.bytes +=
        aligned(tensor.bytes) + kEntryBytes + static_cast<int64_t>(source.name.size());
    sizes.push_back(tensor.bytes);
    if (source.parts.empty()) {
      forecast.add("rotary factors", tensor.type, 0, tensor.bytes);
    } else {
      forecast.add(source.parts.front().role, tensor.type, elements(source.shape), tensor.bytes);
    }
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto scales,
                          gguf_tensor_scales(model.config, sources, grid_of_weight(model)));
  for (const GgufScale& scale : scales) {
    const int64_t bytes = 4 * static_cast<int64_t>(scale.values.size());
    forecast.bytes += aligned(bytes) + kEntryBytes + static_cast<int64_t>(scale.name.size());
    sizes.push_back(bytes);
    forecast.add("tensor scales", "F32", 0, bytes);
  }
  FRUGAL_ASSIGN_OR_RETURN(
      const std::vector<size_t> parts,
      format::gguf_part_of_tensors(sizes, gguf_options(options).max_part_bytes));
  forecast.weight_files = parts.back() + 1;
  return forecast;
}

absl::Status write(const format::Checkpoint& checkpoint, const ExportOptions& options,
                   const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(checkpoint.folder()));
  return write_gguf(checkpoint, *tokenizer, options.name, path, gguf_options(options));
}

absl::Status read_back(const format::Checkpoint& checkpoint, const ExportOptions& options,
                       const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(checkpoint.folder()));
  return read_back_gguf(checkpoint, *tokenizer, options.name, path, gguf_options(options));
}

}  // namespace

constinit const Exporter kGgufExporter{.name = "gguf",
                                       .suffix = ".gguf",
                                       .summary = "gguf is one file for llama.cpp, or several",
                                       .is_folder = false,
                                       .chosen_by_suffix = true,
                                       .takes_eos = true,
                                       .takes_pre_tokenizer = true,
                                       .takes_shard_size = true,
                                       .check = check,
                                       .forecast = forecast,
                                       .write = write,
                                       .read_back = read_back};

}  // namespace frugal::artifact
