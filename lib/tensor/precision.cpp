#include "tensor/precision.h"

#include <ATen/Context.h>

namespace frugal::tensor {

Float32MatmulScope::Float32MatmulScope(bool tf32) : saved_(at::globalContext().allowTF32CuBLAS()) {
  at::globalContext().setAllowTF32CuBLAS(tf32);
}

Float32MatmulScope::~Float32MatmulScope() { at::globalContext().setAllowTF32CuBLAS(saved_); }

}  // namespace frugal::tensor
