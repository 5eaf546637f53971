#include "artifact/huggingface/plain_model.h"

#include <map>
#include <string>
#include <vector>

#include "architecture/tensors.h"

namespace frugal::artifact {
namespace {

using Declarations = std::vector<format::CheckpointWriter::Tensor>;

// Parts of one stored tensor are of one type there: fp32, which holds all others, where they
// differ.
void widen_fused(const std::vector<architecture::Tensor>& expected, Declarations& declared) {
  std::map<std::string, format::DType> types;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!expected[i].slice) continue;
    const auto [type, is_new] = types.emplace(expected[i].slice->name, declared[i].dtype);
    if (!is_new && type->second != declared[i].dtype) type->second = format::DType::kF32;
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].slice) declared[i].dtype = types.at(expected[i].slice->name);
  }
}

}  // namespace

absl::Status write_plain_folder(const format::Checkpoint& checkpoint,
                                const std::filesystem::path& folder) {
  const std::vector<architecture::Tensor> all = architecture::tensors(checkpoint.config());
  Declarations tensors;
  for (const architecture::Tensor& expected : all) {
    format::CheckpointWriter::Tensor tensor{
        .name = expected.name, .dtype = format::DType::kF32, .shape = expected.shape, .grid = {}};
    if (!checkpoint.quantized().contains(expected.name)) {
      FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(expected.name));
      tensor.dtype = info.dtype;
    }
    tensors.push_back(tensor);
  }
  widen_fused(all, tensors);
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
