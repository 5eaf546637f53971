#include "artifact/huggingface/plain_model.h"

#include <vector>

#include "architecture/tensors.h"
#include "format/slices.h"

namespace frugal::artifact {

absl::Status write_plain_folder(const format::Checkpoint& checkpoint,
                                const std::filesystem::path& folder) {
  std::vector<format::CheckpointWriter::Tensor> tensors;
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
  FRUGAL_ASSIGN_OR_RETURN(auto writer,
                          format::CheckpointWriter::create(folder, checkpoint.config(), tensors));
  for (const format::CheckpointWriter::Tensor& tensor : tensors) {
    FRUGAL_ASSIGN_OR_RETURN(const std::vector<float> values, checkpoint.values(tensor.name));
    FRUGAL_RETURN_IF_ERROR(writer.write_values(tensor.name, values));
  }
  FRUGAL_RETURN_IF_ERROR(writer.copy_side_files(checkpoint));
  return writer.finish();
}

}  // namespace frugal::artifact
