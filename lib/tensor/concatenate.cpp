// Tested by: tests/model/rotary_test.cpp
#include <ATen/core/IListRef.h>

#include "tensor/aten.h"

namespace frugal::tensor {

at::Tensor concatenate(at::TensorList parts, int64_t dimension) {
  return at::cat(at::ITensorListRef(parts), dimension);
}

}  // namespace frugal::tensor
