// GPTQ with a two-sided Hessian, tr(G E H Eᵀ), E = Ŵ − W*: G is the Fisher information of the
// outputs (output_gradients.h), H the second moment of the inputs (the two factors of K-FAC,
// Martens & Grosse 2015).
//
// With G = U Uᵀ, U upper triangular in blocks b of rows, and V = U⁻¹,
//   tr(G E H Eᵀ) = Σ_b ‖U_bbᵀ (E_b + V_bbᵀ Σ_{a<b} U_abᵀ E_a)‖²_H ,
// so that block after block is rounded by gptq() on rows W*_b − V_bbᵀ Σ_{a<b} U_abᵀ E_a: what the
// rows before did to directions of the output that matter is made up for in those that come, as
// GPTQ does over columns (YAQA, Tseng et al. 2025, on both sides at once; here a block's rows do
// not look at each other, so that sweep and coordinate descent are those of gptq.h). Rows go from
// the largest G_rr down; the order of storage stays.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "layerwise/rounding/gptq.h"

namespace frugal::layerwise {

// One of the matrices stacked in a target.
struct OutputFisher {
  int64_t rows = 0;
  at::Tensor products;  // G [rows, rows] fp64 on the CPU, symmetric; undefined: rows by themselves
  int64_t tokens = 0;   // it was estimated from
};

// How much is added to the diagonal of G as a share of itself, for an estimate from `tokens`
// tokens.
double output_damping_for(int64_t rows, int64_t tokens);

// As gptq(), with the Fisher information of each matrix of the stack in row order; `damping` as
// above. A G that is not positive definite with it gets more, up to its whole diagonal (throws
// beyond that: NaN). The objectives of the result are sums of tr(ΔW (H + λI) ΔWᵀ) against each
// block's own target.
GptqResult gptq_two_sided(const at::Tensor& target, const at::Tensor& importance,
                          const Factor& factor, const std::shared_ptr<const grid::Grid>& grid,
                          const GptqOptions& options, const std::vector<OutputFisher>& fishers,
                          double damping, const at::Tensor& mask = {});

}  // namespace frugal::layerwise
