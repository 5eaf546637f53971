// Results of an evaluation as named numbers of the journal. Free of LibTorch arithmetic.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "evaluate/classification.h"
#include "evaluate/divergence.h"
#include "evaluate/generation.h"
#include "evaluate/perplexity.h"
#include "pass/pass.h"

namespace frugal::passes {

// <task>/accuracy, <task>/macro_f1, <task>/calibration_error.
std::vector<pass::Statistic> statistics_of(std::string_view task,
                                           const evaluate::Classification& result);
// <task>/coverage, <task>/distinct_2, <task>/length_ratio.
std::vector<pass::Statistic> statistics_of(std::string_view task,
                                           const evaluate::Generation& result);
// perplexity; its help carries protocol, windows, scored tokens, BOS and the text's hash.
std::vector<pass::Statistic> statistics_of(const evaluate::Perplexity& result);
// kld/mean, kld/median, kld/p99, kld/maximum, kld/same_top, kld/delta_p_rms,
// kld/expected_acceptance, kld/ln_perplexity_ratio.
std::vector<pass::Statistic> statistics_of(const evaluate::Divergence& result,
                                           std::string_view reference);

// How a runtime differs from frugal's own forward of the same weights: runtime_difference/kld_mean,
// runtime_difference/same_top, runtime_difference/ln_perplexity_ratio.
std::vector<pass::Statistic> runtime_difference(const evaluate::Divergence& result,
                                                std::string_view engine);

}  // namespace frugal::passes
