#include "tensor/transfer.h"

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::tensor {
namespace {

// A tensor that owns `values`: no second copy of a large weight.
at::Tensor adopt(std::vector<float> values, at::IntArrayRef shape) {
  auto owner = std::make_unique<std::vector<float>>(std::move(values));
  float* data = owner->data();
  return at::from_blob(
      data, shape, [owner = owner.release()](void*) { delete owner; },
      at::TensorOptions().dtype(at::kFloat));
}

absl::StatusOr<std::vector<int64_t>> logical_shape(const format::Checkpoint& checkpoint,
                                                   std::string_view name) {
  if (const auto entry = checkpoint.quantized().find(name); entry != checkpoint.quantized().end()) {
    return std::vector<int64_t>{entry->second.rows, entry->second.columns};
  }
  FRUGAL_ASSIGN_OR_RETURN(const format::TensorInfo info, checkpoint.info(name));
  return info.shape;
}

}  // namespace

at::ScalarType scalar_type(format::DType dtype) {
  switch (dtype) {
    case format::DType::kF32:
      return at::kFloat;
    case format::DType::kF16:
      return at::kHalf;
    case format::DType::kBF16:
      return at::kBFloat16;
    case format::DType::kF64:
      return at::kDouble;
    case format::DType::kI8:
      return at::kChar;
    case format::DType::kU8:
      return at::kByte;
    case format::DType::kI16:
      return at::kShort;
    case format::DType::kU16:
      return at::kUInt16;
    case format::DType::kI32:
      return at::kInt;
    case format::DType::kU32:
      return at::kUInt32;
    case format::DType::kI64:
      return at::kLong;
    case format::DType::kU64:
      return at::kUInt64;
    case format::DType::kBool:
      return at::kBool;
    case format::DType::kF8E4M3:
      return at::kFloat8_e4m3fn;
  }
  TORCH_INTERNAL_ASSERT(false, "format::DType ", static_cast<int>(dtype), " has no ATen type");
}

absl::StatusOr<format::DType> dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return format::DType::kF32;
    case at::kHalf:
      return format::DType::kF16;
    case at::kBFloat16:
      return format::DType::kBF16;
    case at::kDouble:
      return format::DType::kF64;
    case at::kChar:
      return format::DType::kI8;
    case at::kByte:
      return format::DType::kU8;
    case at::kShort:
      return format::DType::kI16;
    case at::kUInt16:
      return format::DType::kU16;
    case at::kInt:
      return format::DType::kI32;
    case at::kUInt32:
      return format::DType::kU32;
    case at::kLong:
      return format::DType::kI64;
    case at::kUInt64:
      return format::DType::kU64;
    case at::kBool:
      return format::DType::kBool;
    case at::kFloat8_e4m3fn:
      return format::DType::kF8E4M3;
    default:
      return base::invalid_argument("tensors of type ", at::toString(type), " cannot be stored");
  }
}

absl::StatusOr<at::Tensor> load(const format::Checkpoint& checkpoint, std::string_view name,
                                at::ScalarType type, const at::Device& device) {
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<int64_t> shape, logical_shape(checkpoint, name));
  FRUGAL_ASSIGN_OR_RETURN(std::vector<float> values, checkpoint.values(name));
  return guarded(base::str_cat("loading tensor ", name), [&] {
    TORCH_CHECK(c10::multiply_integers(shape) == static_cast<int64_t>(values.size()), "tensor ",
                name, " has ", values.size(), " values, its shape ", at::IntArrayRef(shape),
                " demands ", c10::multiply_integers(shape));
    return adopt(std::move(values), shape).to(at::TensorOptions().dtype(type).device(device));
  });
}

absl::Status write(format::CheckpointWriter& writer, std::string_view name,
                   const at::Tensor& value) {
  return guarded(base::str_cat("writing tensor ", name), [&] {
    const at::Tensor plain = value.detach().to(at::kCPU, at::kFloat).contiguous();
    return writer.write_values(name, std::span<const float>(plain.const_data_ptr<float>(),
                                                            static_cast<size_t>(plain.numel())));
  });
}

}  // namespace frugal::tensor
