// Statistics of an expert that few tokens reach, blended with those of all tokens of its layer.
//
// With n tokens of its own, of inputs with d columns,
//   H = (1 − μ) H_own + μ H_all,   μ = n0 / (n0 + n),   n0 = prior · d:
// H_all counts as n0 tokens that were seen before the expert's own (the posterior mean of a second
// moment under a conjugate, inverse-Wishart prior; a shrinkage towards a target as in Ledoit &
// Wolf 2004). An expert is rare where it got fewer than 2 n0 tokens; every other one keeps its own
// statistics, to the last bit: what the router sends it is what it will meet.
#pragma once

#include <cstdint>

#include "layerwise/walk/statistics.h"
#include "layerwise/walk/streams.h"
#include "layerwise/walk/walk.h"

namespace frugal::layerwise {

// n0 in tokens per column: with it an expert is rare below four tokens per column.
inline constexpr double kDefaultExpertPrior = 2.0;

// μ, from 1 (no tokens) down to 1/3; 0 where the expert is not rare, and at prior 0.
double blend_share(int64_t tokens, int64_t columns, double prior);

// Moments of `own` and `all` in shares 1 − μ and μ, of what is there of each; maxima are those of
// both. At μ = 0 `own` as it is. `tokens` stay the expert's own.
InputStatistics blended(InputStatistics own, const InputStatistics& all, double share);

// The drift of an expert whose statistics were blended: tokens that did not come to it have none.
Drift blended(Drift own, double share);

// What the stages of one layer's experts would get if all tokens came to each of them, over the
// first `chunks` chunks of a stream that is among the experts. Throws.
class AllTokens {
 public:
  AllTokens(const StreamRunner& streams, const ActivationStore& store, const WalkOptions& options,
            size_t chunks)
      : streams_(streams), store_(store), options_(options), chunks_(chunks) {}

  // Of the input that all experts share. Errors: as StatisticsSum::take.
  absl::StatusOr<InputStatistics> inputs(const Stream& stream, Needs needs,
                                         std::string_view where) const;
  // Of the neurons that the expert's first stage `at`, with the matrices of `product`, makes of it.
  absl::StatusOr<InputStatistics> neurons(const Stream& stream, Needs needs, std::string_view where,
                                          const architecture::StageRef& at,
                                          const model::StageProduct& product,
                                          const model::LayerParameters& small,
                                          const model::AttentionContexts& contexts) const;

 private:
  // Rows [tokens, columns] of a chunk, from the input of all experts.
  using MakeRows = std::function<at::Tensor(const at::Tensor& input)>;
  absl::StatusOr<InputStatistics> gather(const Stream& stream, Needs needs, std::string_view where,
                                         const MakeRows& make) const;
  at::Tensor rounded(const at::Tensor& rows) const;

  const StreamRunner& streams_;
  const ActivationStore& store_;
  const WalkOptions& options_;
  size_t chunks_;
};

}  // namespace frugal::layerwise
