// Results of an evaluation as named numbers of the journal. Free of LibTorch arithmetic.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "evaluate/classification.h"
#include "evaluate/divergence.h"
#include "evaluate/generation.h"
#include "evaluate/perplexity.h"
#include "pass/pass.h"

namespace frugal::passes {

// <task>/accuracy, <task>/macro_f1, <task>/calibration_error, <task>/answer_log_likelihood.
std::vector<pass::Statistic> statistics_of(std::string_view task,
                                           const evaluate::Classification& result);
// <task>/coverage of texts with attributes, <task>/bleu, chrf, rouge_l, rouge_lsum of texts with
// references, <task>/distinct_1, distinct_2, repetition_4, length_ratio.
std::vector<pass::Statistic> statistics_of(std::string_view task,
                                           const evaluate::Generation& result);
// What was measured on one of several texts bears its name in front: "web/perplexity".
// perplexity; its help carries protocol, windows, scored tokens, BOS and the text's hash. Of
// protocol lmeval also word_perplexity, byte_perplexity, bits_per_byte.
std::vector<pass::Statistic> statistics_of(const evaluate::Perplexity& result,
                                           std::string_view prefix = "");
// kld/mean, kld/p1 .. kld/p99_9 with kld/median, kld/maximum, kld/same_top, kld/delta_p,
// kld/delta_p_rms, kld/expected_acceptance, kld/ln_perplexity_ratio.
std::vector<pass::Statistic> statistics_of(const evaluate::Divergence& result,
                                           std::string_view reference,
                                           std::string_view prefix = "");

// One of several texts; without a divergence where there is no reference.
struct TextResult {
  std::string name;
  evaluate::Perplexity perplexity;
  std::optional<evaluate::Divergence> divergence;
};
// Over texts that count alike, whatever their lengths: perplexity (the geometric mean), kld/mean,
// kld/same_top.
std::vector<pass::Statistic> macro_averages(std::span<const TextResult> texts);
// A row of the journal's table `texts`: {text, protocol, windows, documents, tokens, perplexity,
// low, high, reference_perplexity, kl_mean, kl_low, kl_high, same_top}; null where there is no
// reference.
base::Json text_row(const TextResult& text);

// How a runtime differs from frugal's own forward of the same weights: runtime_difference/kld_mean,
// runtime_difference/same_top, runtime_difference/ln_perplexity_ratio.
std::vector<pass::Statistic> runtime_difference(const evaluate::Divergence& result,
                                                std::string_view engine);

}  // namespace frugal::passes
