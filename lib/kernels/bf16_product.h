// Products of fp32 matrices whose factors are rounded to bfloat16 (to nearest, ties to even) and
// whose sums are fp32, by the dot products that some CPUs have for it (AVX512-BF16): twice as many
// multiplications a cycle as in fp32. A product of two bfloat16 numbers is exact in fp32; the
// rounding of the factors moves each of them by at most 2⁻⁸ of itself (half a unit in the last of 8
// bits), and the sum by at most (2⁻⁷ + 2⁻¹⁶) Σ|a||b|.
//
// Operands are packed first: vectors v_0 .. v_{n-1} of length k, in panels of 64 vectors, two
// neighboring elements of a vector in one word, [panels][ceil(k / 2)][64] words. What is missing in
// the last panel and in the last pair is zero. The product of panels A and B is the 64 × 64 table
// of v^A_i · v^B_j, each summed over ascending pairs: the same bits for any split into panels and
// threads. Subnormal factors and sums count as zero.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/sweep.h"

namespace frugal::kernels {

inline constexpr int64_t kPanel = 64;  // vectors of a panel

inline int64_t panel_count(int64_t vectors) { return (vectors + kPanel - 1) / kPanel; }
inline int64_t pair_count(int64_t length) { return (length + 1) / 2; }
// Words of one packed panel.
inline int64_t panel_words(int64_t length) { return pair_count(length) * kPanel; }

// A matrix to pack, [rows, columns] fp32, `minus` subtracted element by element where it is given.
struct PackSource {
  const float* values = nullptr;
  int64_t stride = 0;  // elements from one row to the next
  const float* minus = nullptr;
  int64_t minus_stride = 0;
  int64_t rows = 0;
  int64_t columns = 0;
};

struct Bf16Kernel {
  const char* name;
  bool (*available)();
  // Panel `panel` of the source's columns as vectors (length = rows), or of its rows (length =
  // columns). `words` has panel_words(length).
  void (*pack_columns)(const PackSource& source, int64_t panel, uint32_t* words);
  void (*pack_rows)(const PackSource& source, int64_t panel, uint32_t* words);
  // out[i * stride + j] = v^A_i · v^B_j for the first `rows` i and `columns` j (at most 64 each).
  void (*multiply)(const uint32_t* a, const uint32_t* b, int64_t pairs, int64_t rows,
                   int64_t columns, float* out, int64_t stride);
};

// Fastest first; the last one is the definition in plain C++, which runs everywhere and slowly.
std::span<const Bf16Kernel> bf16_kernels();
// The fast one, or null where this machine has none: then fp32 products are faster.
const Bf16Kernel* fast_bf16_kernel();

}  // namespace frugal::kernels
