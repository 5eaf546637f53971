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
  int64_t document = 0;              // ScoredWindows::document
  double kl = 0.0;                   // nats per token
  double same_top = 0.0;             // share of positions with the same most probable id
  double delta_p = 0.0;              // mean of p_model - p_ref of the true token
  double delta_p_squared = 0.0;      // mean of its square
  double expected_acceptance = 0.0;  // mean of sum_v min(p_ref, p_model)
  double nll = 0.0;                  // of the model, nats per token
  double reference_nll = 0.0;
  double nll_squared = 0.0, reference_nll_squared = 0.0;  // means of the squares
};

struct Divergence {
  int64_t windows = 0;
  int64_t positions = 0;
  double mean_kl = 0.0;  // over tokens, as all means below
  // Standard errors are over documents (of a stream: windows), and NaN for a single one; intervals
  // resample these.
  double standard_error = 0.0;       // of mean_kl
  std::optional<Interval> interval;  // of mean_kl
  // Over positions.
  double percentile_1 = 0.0, percentile_5 = 0.0, percentile_10 = 0.0, percentile_25 = 0.0;
  double median = 0.0, percentile_75 = 0.0, percentile_90 = 0.0, percentile_95 = 0.0;
  double percentile_99 = 0.0, percentile_99_9 = 0.0, maximum = 0.0;
  double same_top = 0.0;
  std::optional<Interval> same_top_interval;
  double delta_p = 0.0;              // mean p_model - p_ref of the true token
  double delta_p_error = 0.0;        // standard error
  double delta_p_rms = 0.0;          // sqrt(mean (p_model - p_ref)^2) of the true token
  double delta_p_rms_error = 0.0;    // standard error: that of the mean square / (2 rms)
  double expected_acceptance = 0.0;  // EAR: what speculative sampling with this draft would accept
  std::optional<Interval> expected_acceptance_interval;
  double ln_perplexity_ratio = 0.0;  // mean nll - mean reference nll: paired
  // Its standard error from the documents' own differences, so that the covariance is in it.
  double ln_perplexity_ratio_error = 0.0;
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
