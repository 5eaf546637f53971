// Tested by: tests/passes/export_pass_test.cpp
#include "architecture/tensors.h"
#include "artifact/exporter.h"
#include "artifact/huggingface/plain_model.h"

namespace frugal::artifact {
namespace {

absl::Status check(const format::ModelInfo& model, const ExportOptions&,
                   std::vector<std::string>& warnings) {
  if (!model.activations.empty()) {
    warnings.push_back(
        "a plain folder holds decoded weights alone; whoever runs it will not round activations to "
        "int8");
  }
  return absl::OkStatus();
}

int64_t shard_bytes(const ExportOptions& options) {
  return options.max_shard_bytes.value_or(format::kDefaultShardBytes);
}

absl::StatusOr<Forecast> forecast(const format::ModelInfo& model, const ExportOptions& options) {
  constexpr int64_t kEntryBytes = 80;  // of a tensor in the header: type, shape, offsets
  int64_t bytes =
      model.side_bytes + static_cast<int64_t>(model.config.source.dump(2).size());  // config.json
  FRUGAL_ASSIGN_OR_RETURN(const format::CheckpointLayout layout,
                          plain_layout(model, shard_bytes(options)));
  // An entry of the index: the name again, that of its file, quotes.
  const int64_t index_bytes = layout.shard_count > 1 ? 44 : 0;
  Forecast forecast{.bytes = bytes, .weight_files = layout.shard_count};
  const auto places = architecture::places(model.config);
  for (const format::FileTensor& tensor : layout.stored) {
    const auto name_bytes = static_cast<int64_t>(tensor.tensor.name.size());
    forecast.bytes += tensor.size_bytes + kEntryBytes + name_bytes;
    if (index_bytes > 0) forecast.bytes += index_bytes + name_bytes;
    const std::string& first = layout.tensors[tensor.tensor.parts.front()].declared.name;
    forecast.add(places.find(first)->second.role, format::name(tensor.tensor.dtype),
                 tensor.size_bytes / format::size_bytes(tensor.tensor.dtype), tensor.size_bytes);
  }
  return forecast;
}

absl::Status write(const format::Checkpoint& checkpoint, const ExportOptions& options,
                   const std::filesystem::path& path) {
  return write_plain_folder(checkpoint, path, shard_bytes(options));
}

absl::Status read_back(const format::Checkpoint& checkpoint, const ExportOptions&,
                       const std::filesystem::path& path) {
  return read_back_plain_folder(checkpoint, path);
}

}  // namespace

constinit const Exporter kHuggingFaceExporter{
    .name = "huggingface",
    .suffix = "-hf",
    .summary = "huggingface is a plain folder with decoded weights",
    .is_folder = true,
    .chosen_by_suffix = false,
    .takes_shard_size = true,
    .check = check,
    .forecast = forecast,
    .write = write,
    .read_back = read_back};

}  // namespace frugal::artifact
