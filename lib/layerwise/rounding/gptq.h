// Rounding the stacked matrices of a stage to a grid: GPTQ (arXiv 2210.17323).
//
// GPTQ in the factor's order; parameters of a block are fitted, weighted by importance, on the
// current weights when the sweep first touches it ("dynamic": its columns must then be processed
// side by side), or on the given weights before ("static": any order); then coordinate descent on
// the codes with refits of the scales in the metric of H. (Frantar et al. 2022; kernels/sweep.h,
// kernels/refine.h.)
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "grid/grid.h"
#include "layerwise/rounding/factor.h"

namespace frugal::layerwise {

struct GptqOptions {
  bool dynamic_scales = true;
  bool zero_dead =
      false;  // write 0 to columns whose input was always zero; else they are rounded to nearest
  int sweeps = 3;  // of coordinate descent; 0 = plain GPTQ
  int refits = 2;  // refits of the scales, before the first sweeps
};

struct GptqResult {
  grid::QuantizedMatrix matrix;
  double sweep_objective = 0;  // tr(ΔW (H + λI) ΔWᵀ) after the column sweep; ΔW against the target
  double objective = 0;        // the same after coordinate descent
  std::string sweep_kernel;    // "avx512", "cuda": what ran the sweep
  std::string fallback;        // why a sweep asked for on a device ran on the CPU; else empty
};

// `target` [R, in] fp32 contiguous on the CPU or a CUDA device (W, or W* of pre_correct.h), where
// the sweep then runs (gptq_device.h); importance [in] = E[x²]. in is a multiple of the grid's
// block. Without our CUDA module the sweep of a CUDA target runs on the CPU, and the result says
// so. `mask` [R, in] uint8 (pattern.h), where defined: weights that are 0 there end at exactly zero
// (on the CPU), and the others make up for them; the grid must hold a zero. Throws on sizes that do
// not fit, and where the module is there but cannot be used.
GptqResult gptq(const at::Tensor& target, const at::Tensor& importance, const Factor& factor,
                std::shared_ptr<const grid::Grid> grid, const GptqOptions& options,
                const at::Tensor& mask = {});

// Coordinate descent and refits of scales alone, from the matrix's codes towards `target` [R, in]
// fp32 on the CPU. The objective after it.
double refine_codes(const at::Tensor& target, const Factor& factor, const GptqOptions& options,
                    grid::QuantizedMatrix& matrix);

// Nearest rounding of every block on the weights alone. `importance` and `mask` (as above) may be
// undefined. With a mask the fast search gives way to the full one, which leaves pinned weights
// out.
absl::StatusOr<grid::QuantizedMatrix> round_to_nearest(const at::Tensor& weights,
                                                       const at::Tensor& importance,
                                                       std::shared_ptr<const grid::Grid> grid,
                                                       grid::ScaleSearch search,
                                                       const at::Tensor& mask = {});
// With the full search, or with plain min-max scales.
absl::StatusOr<grid::QuantizedMatrix> round_to_nearest(const at::Tensor& weights,
                                                       const at::Tensor& importance,
                                                       std::shared_ptr<const grid::Grid> grid,
                                                       bool search, const at::Tensor& mask = {});

// Decoded weights [R, in] fp32, and rows [begin, begin + count) as a matrix of its own.
at::Tensor decode(const grid::QuantizedMatrix& matrix);
grid::QuantizedMatrix take_rows(const grid::QuantizedMatrix& matrix, int64_t begin, int64_t count);

// tr((Ŵ − W) H (Ŵ − W)ᵀ) / tr(W H Wᵀ): relative squared error of the outputs. 0 where both are 0. H
// fp64.
struct OutputError {
  double squared = 0;    // tr((Ŵ − W) H (Ŵ − W)ᵀ)
  double reference = 0;  // tr(W H Wᵀ)
  double relative() const;
};
OutputError output_error(const at::Tensor& changed, const at::Tensor& weights,
                         const at::Tensor& hessian);

}  // namespace frugal::layerwise
