// How far a model's next-token distribution moved from a reference's: Kullback-Leibler divergence
// and what goes with it.
//
// Both models run together over the same windows, so no log-probabilities are stored and nothing is
// rounded. The direction is always KL(reference || model) = sum_v p_ref (ln p_ref - ln p_model), in
// nats per token, over the whole vocabulary (llama.cpp leaves out ids with ln p_ref <= -16; we do
// not). Logits are fp32, softmax and sums fp64: the divergence of an 8-bit model is 1e-5 nats, near
// what fp32 would lose.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "evaluate/perplexity.h"
#include "evaluate/statistics.h"

namespace frugal::evaluate {

inline constexpr std::string_view kDivergenceDirection = "KL(reference || model)";

// Means over the scored positions of one window: the items.
struct WindowDivergence {
  int64_t tokens = 0;                // scored
  double kl = 0.0;                   // nats per token
  double same_top = 0.0;             // share of positions with the same most probable id
  double delta_p_squared = 0.0;      // mean of (p_model - p_ref)^2 of the true token
  double expected_acceptance = 0.0;  // mean of sum_v min(p_ref, p_model)
  double nll = 0.0;                  // of the model, nats per token
  double reference_nll = 0.0;
};

struct Divergence {
  int64_t windows = 0;
  int64_t positions = 0;
  double mean_kl = 0.0;              // over tokens, as all means below
  double standard_error = 0.0;       // of mean_kl, over windows; NaN for a single one
  std::optional<Interval> interval;  // of mean_kl, windows resampled
  double median = 0.0, percentile_90 = 0.0, percentile_95 = 0.0, percentile_99 = 0.0;
  double percentile_99_9 = 0.0, maximum = 0.0;  // over positions
  double same_top = 0.0;
  std::optional<Interval> same_top_interval;
  double delta_p_rms = 0.0;          // sqrt(mean (p_model - p_ref)^2) of the true token
  double expected_acceptance = 0.0;  // EAR: what speculative sampling with this draft would accept
  double ln_perplexity_ratio = 0.0;  // mean nll - mean reference nll: paired
  double ln_perplexity_ratio_error =
      0.0;  // its standard error from the windows' differences; NaN for a single one
  Perplexity model, reference;  // from the same logits
  std::vector<WindowDivergence> items;
};

// What follows from the windows' means: all but windows, percentiles, model and reference, which
// are left unknown.
Divergence summarize_divergence(std::vector<WindowDivergence> items,
                                const base::RandomStream& random);

// Errors: as perplexity; different vocabulary sizes.
absl::StatusOr<Divergence> divergence(const model::Decoder& model, const model::Decoder& reference,
                                      const ScoredWindows& windows, base::RandomStream random,
                                      const ScoreOptions& options = {});

// Logits of a model that is not in this process, up to a constant for each position: at the
// positions of the sequence's queries, which ascend, in parts [n, V] fp32 on the CPU that begin
// with query `begin`.
using LogitSource = std::function<absl::Status(
    const Sequence& sequence,
    const std::function<absl::Status(int64_t begin, const at::Tensor& logits)>& use)>;

// The same of such a model, window by window. Errors besides: those of `model`.
absl::StatusOr<Divergence> divergence(const LogitSource& model, const model::Decoder& reference,
                                      const ScoredWindows& windows, base::RandomStream random,
                                      const ScoreOptions& options = {});

}  // namespace frugal::evaluate
