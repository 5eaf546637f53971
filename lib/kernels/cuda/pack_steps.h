// One byte of a packed block (grid/*.cpp have the layouts).
#pragma once

#include "kernels/cuda/module.h"
#include "kernels/cuda/steps.h"

namespace frugal::kernels::cuda {

// Byte `at` of the codes of a block of `columns` codes.
FRUGAL_STEP uint8_t packed_codes(const uint8_t* codes, int columns, int layout, int span, int at) {
  switch (layout) {
    case FRUGAL_CUDA_NIBBLE_HALVES: {
      const int half = span / 2;
      const uint8_t* const part = codes + at / half * span + at % half;
      return static_cast<uint8_t>(part[0] | part[half] << 4);
    }
    case FRUGAL_CUDA_NIBBLE_PAIRS: {
      const int high = 2 * at + 1 < columns ? codes[2 * at + 1] : 0;
      return static_cast<uint8_t>(codes[2 * at] | high << 4);
    }
    case FRUGAL_CUDA_SIGNED_BYTES:
      return static_cast<uint8_t>(codes[at] ^ 128);
    default:
      return codes[at];
  }
}

// Byte `index` of the packed matrix.
FRUGAL_STEP uint8_t packed_byte(const FrugalCudaPack& p, int64_t index) {
  const int64_t block = index / p.block_bytes;  // rows lie one behind the other in all arrays
  const int at = static_cast<int>(index % p.block_bytes);
  if (at < p.parameter_bytes) return p.parameters[block * p.parameter_bytes + at];
  return packed_codes(p.codes + block * p.block_columns, p.block_columns, p.layout, p.span,
                      at - p.parameter_bytes);
}

}  // namespace frugal::kernels::cuda
