// GPTAQ (Li et al. 2025, "GPTAQ: Efficient finetuning-free quantization for asymmetric
// calibration"): the column sweep of GPTQ, which makes up for the drift of the inputs on its way
// instead of in the target beforehand (pre_correct.h). With (H + λI)⁻¹ = UᵀU in processing order, D
// = (X̃ − X)Xᵀ and
//   P = α triu(D Uᵀ, 1) U   (strictly upper triangular),
// each column i, once rounded, changes those behind it by −e_i U[i, k] + w_i P[i, k], w_i its
// weight before and e_i = (w_i − q_i) / U[i, i] (arXiv 2504.02692).
//
// The w_i are themselves linear in W and the e_j: w (I − P) = W − e (U − diag U). So the sweep is
// GPTQ's own, on the weights W (I − P)⁻¹ and with (U − diag U)(I − P)⁻¹ above the diagonal of U; no
// drift leaves both as they are, bit for bit. The published code multiplies q_i instead of w_i by P
// across its update blocks of 128 columns, which makes the result depend on their width; here it is
// w_i throughout.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "layerwise/rounding/gptq.h"
#include "layerwise/walk/statistics.h"

namespace frugal::layerwise {

inline constexpr double kPublishedAlpha = 0.25;  // GPTAQ's default

// P [in, in] fp64 in processing order; `input_drift` = Drift::input in the matrix's column order,
// of the same tokens as the factor's H.
at::Tensor gptaq_correction(const at::Tensor& input_drift, const Factor& factor, double alpha);

// As gptq() without a mask, for the drift `input_drift` of the inputs. `weights` [R, in] fp32
// contiguous are swept; coordinate descent, where options ask for it, goes towards `goal` [R, in]
// fp32 on the CPU (pre_correct() at the same alpha: the exact optimum of what the sweep
// approximates), against which both objectives are measured. Throws as gptq().
GptqResult gptaq(const at::Tensor& weights, const at::Tensor& goal, const at::Tensor& input_drift,
                 double alpha, const at::Tensor& importance, const Factor& factor,
                 std::shared_ptr<const grid::Grid> grid, const GptqOptions& options);

}  // namespace frugal::layerwise
