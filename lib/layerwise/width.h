// Feed-forward width: which neurons to keep, and the least-squares compensation of the matrix that
// reads them.
//
// Neuron j is row j of gate and up and column j of down. S = kept neurons, X = input of down, H its
// second moment, W* = down (or its asymmetric target, pre_correct.h). Keeping S, the best down is
// W' = W* H_{:,S} (H_SS + λI)⁻¹; removing one neuron j costs ‖w*_j‖² / ((H + λI)⁻¹)_jj (Hassibi and
// Stork 1993 by groups; sparsity.md, "Structured").
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "layerwise/factor.h"
#include "layerwise/statistics.h"

namespace frugal::layerwise {

enum class NeuronScore {
  kObs,         // the cost above, once
  kObsGreedy,   // remove the cheapest, update W* and (H + λI)⁻¹, repeat
  kActivation,  // mean |x_j| (Minitron)
  kMagnitude,   // ‖gate_j‖ ‖up_j‖ ‖down_j‖
};

// Neurons to keep: `fraction` of `neurons`, rounded to the nearest positive multiple of
// `multiple_of`, at most `neurons`.
int64_t kept_neurons(int64_t neurons, double fraction, int64_t multiple_of);

struct WidthProblem {
  at::Tensor target;               // W* [C, F] fp32
  at::Tensor mean_absolute;        // [F]; kActivation
  at::Tensor magnitude;            // [F] ‖gate_j‖ ‖up_j‖ ‖down_j‖; kMagnitude
  const Factor* factor = nullptr;  // of H [F, F]
};

// The `keep` neurons with the highest score (ties: the lower index), ascending. Throws on sizes
// that do not fit.
std::vector<int64_t> choose_neurons(const WidthProblem& problem, NeuronScore score, int64_t keep);

// W' [C, |S|] fp32 in the metric of the damped H. Errors: as factorize.
absl::StatusOr<at::Tensor> compensate(const at::Tensor& target, const Factor& factor,
                                      const std::vector<int64_t>& kept);

}  // namespace frugal::layerwise
