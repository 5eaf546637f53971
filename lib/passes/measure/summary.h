// From metered windows to numbers with intervals. Free of LibTorch.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "pass/pass.h"
#include "passes/measure/speed.h"

namespace frugal::passes {

// The headline numbers of the first workload (joules_per_million_tokens, joules_per_request,
// requests_per_kilowatt_hour, tokens_per_second), then for every workload, under
// <metric>/batch_<B>: prefill and decode speed, joules per token of each, joules per request gross
// and net of idle, time to the first token, time per token and latency at p50 and p95. Intervals
// are bootstraps over the repeats, of joules in blocks. An unknown number has no value, and its
// help says why.
std::vector<pass::Statistic> speed_statistics(const std::vector<Speed>& speeds,
                                              base::RandomStream random);

// Rows of the table `speed`: {batch, prompt_tokens, generated_tokens, phase, repeat, runs, seconds,
// tokens_per_second, joules, net_joules, provenance, marks}.
std::vector<base::Json> speed_rows(const std::vector<Speed>& speeds);

// What makes the numbers of these windows, a reference's too, less sure than they should be:
// windows shorter than 5 s or 50 movements of a counter.
std::vector<std::string> speed_warnings(const Measured& measured);

}  // namespace frugal::passes
