// In the place of LibTorch's header of this name, which every operator's header includes and which
// brings IValue, lists and their types for one function that nothing here calls: their templates
// are left to be instantiated in every source, a second each. What takes a list of tensors by
// at::ITensorListRef includes <ATen/core/IListRef.h> itself (lib/tensor/concatenate.cpp).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/ScalarType.h>
