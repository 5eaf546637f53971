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

// Decoded weights are fp32, whatever their grid took.
absl::StatusOr<int64_t> estimate_bytes(const format::ModelInfo& model, const ExportOptions&) {
  constexpr int64_t kEntryBytes = 80;  // of a tensor in the header: type, shape, offsets
  int64_t bytes =
      model.side_bytes + static_cast<int64_t>(model.config.source.dump(2).size());  // config.json
  for (const architecture::Tensor& tensor : architecture::tensors(model.config)) {
    int64_t count = 1;
    for (const int64_t size : tensor.shape) count *= size;
    const bool decoded = model.grids.contains(tensor.name);
    bytes += count * (decoded ? 4 : dtype_bytes(model.dtype)) + kEntryBytes +
             static_cast<int64_t>(tensor.name.size());
  }
  return bytes;
}

absl::Status write(const format::Checkpoint& checkpoint, const ExportOptions&,
                   const std::filesystem::path& path) {
  return write_plain_folder(checkpoint, path);
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
    .check = check,
    .estimate_bytes = estimate_bytes,
    .write = write,
    .read_back = read_back};

}  // namespace frugal::artifact
