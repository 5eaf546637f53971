#include "artifact/huggingface/plain_model.h"

#include <limits>
#include <string>
#include <vector>

#include "architecture/tensors.h"
#include "artifact/read_back.h"
#include "base/interrupt.h"
#include "format/checkpoint_files.h"
#include "format/checkpoint_layout.h"
#include "format/slices.h"

namespace frugal::artifact {

namespace {

using Declared = std::vector<format::CheckpointWriter::Tensor>;

absl::StatusOr<Declared> declared_tensors(const format::Checkpoint& checkpoint) {
  Declared tensors;
  for (const architecture::Tensor& expected : architecture::tensors(checkpoint.config())) {
    format::CheckpointWriter::Tensor tensor{
        .name = expected.name, .dtype = format::DType::kF32, .shape = expected.shape, .grid = {}};
    if (!checkpoint.quantized().contains(expected.name)) {
      FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(expected.name));
      tensor.dtype = info.dtype;
    }
    tensors.push_back(tensor);
  }
  format::widen_fused(checkpoint.config(), tensors);
  return tensors;
}

// What the writer says in config.json.
absl::StatusOr<std::string> config_text(const format::Checkpoint& checkpoint,
                                        const Declared& tensors) {
  constexpr int64_t kOneShard = std::numeric_limits<int64_t>::max();
  FRUGAL_ASSIGN_OR_RETURN(const format::CheckpointLayout layout,
                          format::lay_out(checkpoint.config(), tensors, kOneShard));
  return format::config_json(checkpoint.config(), layout.tensors).dump(2) + "\n";
}

}  // namespace

absl::StatusOr<format::CheckpointLayout> plain_layout(const format::ModelInfo& model,
                                                      int64_t max_shard_bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const format::DType stored, format::parse_dtype(model.dtype));
  Declared tensors;
  for (const architecture::Tensor& expected : architecture::tensors(model.config)) {
    tensors.push_back({.name = expected.name,
                       .dtype = model.grids.contains(expected.name) ? format::DType::kF32 : stored,
                       .shape = expected.shape});
  }
  format::widen_fused(model.config, tensors);
  return format::lay_out(model.config, std::move(tensors), max_shard_bytes);
}

absl::Status write_plain_folder(const format::Checkpoint& checkpoint,
                                const std::filesystem::path& folder, int64_t max_shard_bytes) {
  FRUGAL_ASSIGN_OR_RETURN(const Declared tensors, declared_tensors(checkpoint));
  FRUGAL_ASSIGN_OR_RETURN(auto writer, format::CheckpointWriter::create(folder, checkpoint.config(),
                                                                        tensors, max_shard_bytes));
  for (const format::CheckpointWriter::Tensor& tensor : tensors) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, checkpoint.values(tensor.name));
    FRUGAL_RETURN_IF_ERROR(writer.write_values(tensor.name, values));
  }
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(checkpoint));
  return writer.finish();
}

absl::Status read_back_plain_folder(const format::Checkpoint& checkpoint,
                                    const std::filesystem::path& folder) {
  FRUGAL_ASSIGN_OR_RETURN(const format::Checkpoint found, format::Checkpoint::open(folder));
  const std::string where = folder.string();
  FRUGAL_ASSIGN_OR_RETURN(const Declared tensors, declared_tensors(checkpoint));
  FRUGAL_ASSIGN_OR_RETURN(const std::string config, config_text(checkpoint, tensors));
  FRUGAL_RETURN_IF_ERROR(same_text(folder / format::kConfigFile, config));
  FRUGAL_RETURN_IF_ERROR(same_side_files(folder, checkpoint.folder()));
  for (const format::CheckpointWriter::Tensor& tensor : tensors) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, found.info(tensor.name));
    if (info.dtype != tensor.dtype || info.shape != tensor.shape)
      return differs(where, "'", tensor.name, "' has another type or shape");
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, found.values(tensor.name));
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> expected, checkpoint.values(tensor.name));
    FRUGAL_RETURN_IF_ERROR(same_values(where, tensor.name, tensor.shape.back(), values, expected));
  }
  return absl::OkStatus();
}

}  // namespace frugal::artifact
