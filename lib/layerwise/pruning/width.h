// Width: which structures (feed-forward neurons, attention heads) to keep, and the least-squares
// compensation of the matrix that reads them.
//
// A structure is `unit` neighboring columns of the reader: neuron j is column j of down (and row j
// of gate and up), a head is head_dim columns of o. S = kept columns, X = the reader's input, H its
// second moment, W* = the reader (or its drift-corrected target, pre_correct.h). Keeping S, the
// best reader is W' = W* H_{:,S} (H_SS + λI)⁻¹; removing the columns J costs tr(w*_J [((H +
// λI)⁻¹)_JJ]⁻¹ w*_Jᵀ), which is ‖w*_j‖² / ((H + λI)⁻¹)_jj for one (Hassibi and Stork 1993).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "layerwise/rounding/factor.h"
#include "layerwise/walk/statistics.h"

namespace frugal::layerwise {

enum class StructureScore {
  kObs,         // the cost above, once
  kObsGreedy,   // remove the cheapest, update W* and (H + λI)⁻¹, repeat
  kActivation,  // mean |x_j|, over several columns their 2-norm (Minitron)
  kMagnitude,   // norms of the structure's rows and columns, multiplied
};

// Structures to keep: `fraction` of `count`, rounded to the nearest positive multiple of
// `multiple_of`, at most `count`.
int64_t kept_structures(int64_t count, double fraction, int64_t multiple_of);

struct WidthProblem {
  at::Tensor target;               // W* [C, F] fp32, F = structures · unit
  at::Tensor mean_absolute;        // [F]; kActivation
  at::Tensor magnitude;            // [structures]; kMagnitude
  const Factor* factor = nullptr;  // of H [F, F]
  int64_t unit = 1;                // columns of a structure
  int64_t groups = 1;  // the structures lie in so many equal runs, each of which keeps the same
                       // number (query heads that share a key/value head)
};

// The `keep` structures with the highest score (ties: the lower index), ascending. `keep` is a
// multiple of `groups`. Throws on sizes that do not fit.
std::vector<int64_t> choose_structures(const WidthProblem& problem, StructureScore score,
                                       int64_t keep);

// Elements s · size .. s · size + size - 1 of every structure s: its columns, or its rows.
std::vector<int64_t> elements_of(const std::vector<int64_t>& structures, int64_t size);

// W' [C, |S|] fp32 for the kept columns S, in the metric of the damped H. Errors: as factorize.
absl::StatusOr<at::Tensor> compensate(const at::Tensor& target, const Factor& factor,
                                      const std::vector<int64_t>& kept);

}  // namespace frugal::layerwise
