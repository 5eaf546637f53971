// The builds of the bf16 products.
#pragma once

#include "grid/instruction_sets.h"
#include "kernels/bf16_product.h"

namespace frugal::kernels {

void pack_columns_reference(const PackSource& source, int64_t panel, uint32_t* words);
void pack_rows_reference(const PackSource& source, int64_t panel, uint32_t* words);
void multiply_reference(const uint32_t* a, const uint32_t* b, int64_t pairs, int64_t rows,
                        int64_t columns, float* out, int64_t stride);
#if FRUGAL_X86_TARGETS
void pack_columns_avx512(const PackSource& source, int64_t panel, uint32_t* words);
void pack_rows_avx512(const PackSource& source, int64_t panel, uint32_t* words);
void multiply_avx512(const uint32_t* a, const uint32_t* b, int64_t pairs, int64_t rows,
                     int64_t columns, float* out, int64_t stride);
#endif

}  // namespace frugal::kernels
