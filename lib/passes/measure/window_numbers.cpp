// Tested by: tests/passes/measure_test.cpp
#include "passes/measure/window_numbers.h"

#include <algorithm>
#include <numeric>

namespace frugal::passes {

using energy::Figure;

std::string_view to_string(Phase phase) { return phase == Phase::kPrefill ? "prefill" : "decode"; }

const PhaseWindow& phase_of(const SpeedRepeat& repeat, Phase phase) {
  return phase == Phase::kPrefill ? repeat.prefill : repeat.decode;
}

double tokens_per_run(const Workload& workload, Phase phase) {
  const int64_t per_request =
      phase == Phase::kPrefill ? workload.prompt_tokens : workload.generated_tokens - 1;
  return static_cast<double>(per_request * workload.batch);
}

double seconds_of(const PhaseWindow& window) {
  return std::accumulate(window.run_seconds.begin(), window.run_seconds.end(), 0.0);
}

std::vector<std::string> marks_of(const PhaseWindow& window) {
  if (seconds_of(window) >= kWindowSeconds) return {};
  return {std::string(energy::kShort)};
}

std::vector<std::string> marks_of(const SpeedRepeat& repeat) {
  std::vector<std::string> marks = marks_of(repeat.prefill);
  for (const std::string& mark : marks_of(repeat.decode)) energy::add_mark(mark, &marks);
  return marks;
}

Figure joules_of(const PhaseWindow& window, bool net) {
  Figure figure = net ? window.energy.total_net_joules() : window.energy.total_joules();
  for (const std::string& mark : marks_of(window)) energy::add_mark(mark, &figure.marks);
  return figure;
}

Figure joules_per_token(const Workload& workload, const SpeedRepeat& repeat, Phase phase) {
  const PhaseWindow& window = phase_of(repeat, phase);
  const double tokens = tokens_per_run(workload, phase) * static_cast<double>(window.runs);
  return energy::scaled(joules_of(window, false), 1 / tokens, "J");
}

Figure joules_per_request(const Workload& workload, const SpeedRepeat& repeat, bool net) {
  const auto each = [&](const PhaseWindow& window) {
    const double requests = static_cast<double>(window.runs * workload.batch);
    return energy::scaled(joules_of(window, net), 1 / requests, "J");
  };
  return energy::sum(each(repeat.prefill), each(repeat.decode));
}

double tokens_per_second(const Workload& workload, const SpeedRepeat& repeat, Phase phase) {
  const PhaseWindow& window = phase_of(repeat, phase);
  return tokens_per_run(workload, phase) * static_cast<double>(window.runs) / seconds_of(window);
}

std::vector<double> request_seconds(const SpeedRepeat& repeat) {
  const auto &prefill = repeat.prefill.run_seconds, &decode = repeat.decode.run_seconds;
  std::vector<double> seconds;
  for (size_t i = 0; i < std::max(prefill.size(), decode.size()); ++i)
    seconds.push_back(prefill[i % prefill.size()] + decode[i % decode.size()]);
  return seconds;
}

}  // namespace frugal::passes
