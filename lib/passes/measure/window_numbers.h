// Numbers of single metered windows, as figures with their provenance, range and marks.
#pragma once

#include <string_view>
#include <vector>

#include "energy/provenance.h"
#include "passes/measure/speed.h"

namespace frugal::passes {

// What a window needs to be trusted: counters move every tenth of a second, and a machine takes a
// while to settle.
inline constexpr double kWindowSeconds = 5.0;
inline constexpr double kWindowUpdates = 50.0;

enum class Phase { kPrefill, kDecode };
std::string_view to_string(Phase phase);

const PhaseWindow& phase_of(const SpeedRepeat& repeat, Phase phase);

// Tokens that one run of a phase reads or makes, all requests of the batch together.
double tokens_per_run(const Workload& workload, Phase phase);

// That the window computed; what was between its runs is not in it.
double seconds_of(const PhaseWindow& window);

// energy::kShort where the window lasted less than kWindowSeconds: it stays on all that follows.
std::vector<std::string> marks_of(const PhaseWindow& window);
std::vector<std::string> marks_of(const SpeedRepeat& repeat);

// Gross, or net of idle.
energy::Figure joules_of(const PhaseWindow& window, bool net);
energy::Figure joules_per_token(const Workload& workload, const SpeedRepeat& repeat, Phase phase);
// Prefill and decode of one request: the sum of the two windows' joules per run, shared by the
// batch.
energy::Figure joules_per_request(const Workload& workload, const SpeedRepeat& repeat, bool net);

double tokens_per_second(const Workload& workload, const SpeedRepeat& repeat, Phase phase);

// Seconds of requests: every decode run with a prefill of the same repeat; where there are fewer of
// one of them, they are used again.
std::vector<double> request_seconds(const SpeedRepeat& repeat);

}  // namespace frugal::passes
