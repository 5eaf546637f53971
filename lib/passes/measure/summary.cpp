// Tested by: tests/passes/measure_test.cpp
#include "passes/measure/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/units.h"
#include "energy/derive.h"
#include "energy/paired_rounds.h"
#include "evaluate/statistics.h"
#include "passes/measure/window_numbers.h"

namespace frugal::passes {
namespace {

using energy::Figure;
using pass::Statistic;

// One value per repeat, or the reason why there is none.
struct Series {
  std::vector<double> values;
  std::vector<energy::Range> ranges;  // by the model of a meter; a point where it measures
  bool has_range = false;
  std::vector<std::string> marks;  // of any window
  std::string missing;             // not empty: unknown
  energy::Provenance provenance = energy::Provenance::kMeasured;
};

void add(Series& series, const Figure& figure) {
  series.provenance = energy::weakest(series.provenance, figure.provenance);
  for (const std::string& mark : figure.marks) energy::add_mark(mark, &series.marks);
  if (!figure.value) {
    if (series.missing.empty()) series.missing = figure.basis;
    return;
  }
  series.values.push_back(*figure.value);
  series.ranges.push_back(figure.range.value_or(energy::Range{*figure.value, *figure.value}));
  series.has_range = series.has_range || figure.range.has_value();
}

Series token_joules(const Speed& speed, Phase phase) {
  Series series;
  for (const SpeedRepeat& repeat : speed.repeats)
    add(series, joules_per_token(speed.workload, repeat, phase));
  return series;
}

Series request_joules(const Speed& speed, bool net) {
  Series series;
  for (const SpeedRepeat& repeat : speed.repeats)
    add(series, joules_per_request(speed.workload, repeat, net));
  return series;
}

energy::Range mean_range(const std::vector<energy::Range>& ranges) {
  energy::Range sum;
  for (const energy::Range& range : ranges) {
    sum.low += range.low;
    sum.high += range.high;
  }
  return scaled(sum, 1 / static_cast<double>(ranges.size()));
}

// The mean over the repeats with its interval: of too few for blocks a plain bootstrap.
Statistic summarize(std::string name, const Series& series, std::string unit, std::string help,
                    const base::RandomStream& random) {
  Statistic result{.name = std::move(name), .unit = std::move(unit), .help = std::move(help)};
  result.provenance = energy::to_text(series.provenance);
  result.n = static_cast<int64_t>(series.values.size());
  result.marks = series.marks;
  if (!series.missing.empty() || series.values.empty()) {
    result.help +=
        base::str_cat(" Unknown: ", series.missing.empty() ? "no window" : series.missing);
    result.n = 0;
    return result;
  }
  result.value = evaluate::mean(series.values);
  if (series.has_range) result.range = mean_range(series.ranges);
  if (const auto blocks = energy::block_bootstrap(series.values, result.confidence)) {
    result.low = blocks->low;
    result.high = blocks->high;
    result.method = "block bootstrap";
  } else if (const auto few = evaluate::bootstrap_mean_interval(series.values, random)) {
    result.low = few->low;
    result.high = few->high;
    result.confidence = few->confidence;
    result.method = few->method;
  }
  return result;
}

void add_marks(Statistic& statistic, const std::vector<std::string>& marks) {
  for (const std::string& mark : marks) energy::add_mark(mark, &statistic.marks);
}

// Tokens by seconds over all repeats; the interval resamples the repeats.
Statistic rate(std::string name, const Speed& speed, Phase phase, std::string help,
               const base::RandomStream& random) {
  std::vector<double> tokens, seconds;
  for (const SpeedRepeat& repeat : speed.repeats) {
    const PhaseWindow& window = phase_of(repeat, phase);
    tokens.push_back(tokens_per_run(speed.workload, phase) * static_cast<double>(window.runs));
    seconds.push_back(seconds_of(window));
  }
  Statistic result{.name = std::move(name), .unit = "tokens/s", .help = std::move(help)};
  for (const SpeedRepeat& repeat : speed.repeats)
    add_marks(result, marks_of(phase_of(repeat, phase)));
  const double value = evaluate::mean(tokens) / evaluate::mean(seconds);
  if (std::isfinite(value)) result.value = value;
  result.n = static_cast<int64_t>(tokens.size());
  if (const auto interval = evaluate::bootstrap_ratio_interval(tokens, seconds, random)) {
    result.low = interval->low;
    result.high = interval->high;
    result.method = interval->method;
  }
  return result;
}

// 3.6e6 J by the joules of a request: the same number turned over, so are its bounds.
Statistic requests_per_kilowatt_hour(const Statistic& joules, std::string help) {
  Statistic result = joules;
  result.name = "requests_per_kilowatt_hour";
  result.unit = "requests";
  result.help = std::move(help);
  const auto turned = [](const std::optional<double>& value) -> std::optional<double> {
    if (!value || *value <= 0.0) return std::nullopt;
    return base::requests_per_kilowatt_hour(*value);
  };
  result.value = turned(joules.value);
  result.low = turned(joules.high);
  result.high = turned(joules.low);
  result.range = std::nullopt;
  if (joules.range && joules.range->low > 0) {
    result.range = energy::Range{*turned(joules.range->high), *turned(joules.range->low)};
  }
  return result;
}

// A percentile of durations of all repeats; its interval resamples the repeats, not the single
// durations.
Statistic percentile(std::string name, const std::vector<std::vector<double>>& repeats, double q,
                     std::string help, const base::RandomStream& random) {
  const auto of = [&](std::span<const int64_t> indices) {
    std::vector<double> all;
    for (const int64_t i : indices) {
      const auto& values = repeats[static_cast<size_t>(i)];
      all.insert(all.end(), values.begin(), values.end());
    }
    std::sort(all.begin(), all.end());
    return evaluate::quantile_of_sorted(all, q);
  };
  Statistic result{.name = std::move(name), .unit = "seconds", .help = std::move(help)};
  std::vector<int64_t> every(repeats.size());
  std::iota(every.begin(), every.end(), int64_t{0});
  if (const double value = of(every); std::isfinite(value)) result.value = value;
  for (const auto& values : repeats) result.n += static_cast<int64_t>(values.size());
  const auto interval = evaluate::bootstrap_interval(static_cast<int64_t>(repeats.size()), of,
                                                     random, {.draws = 500});
  if (interval) {
    result.low = interval->low;
    result.high = interval->high;
    result.method = interval->method;
  }
  return result;
}

struct Durations {
  std::vector<std::vector<double>> first_token, per_token, request;
};

Durations durations_of(const Speed& speed) {
  Durations result;
  for (const SpeedRepeat& repeat : speed.repeats) {
    result.first_token.push_back(repeat.prefill.run_seconds);
    result.per_token.push_back(repeat.decode.step_seconds);
    result.request.push_back(request_seconds(repeat));
  }
  return result;
}

void add_latency(std::vector<Statistic>& result, const Speed& speed, const std::string& suffix,
                 const base::RandomStream& random) {
  const Durations durations = durations_of(speed);
  for (const auto& [label, q] : {std::pair<const char*, double>{"p50", 0.5}, {"p95", 0.95}}) {
    const auto add = [&](std::string_view metric, const std::vector<std::vector<double>>& values,
                         const auto& marks, std::string_view help) {
      result.push_back(percentile(base::str_cat(metric, "_", label, suffix), values, q,
                                  base::str_cat(help, ", ", label, "."), random));
      for (const SpeedRepeat& repeat : speed.repeats) add_marks(result.back(), marks(repeat));
    };
    add(
        "time_to_first_token", durations.first_token,
        [](const SpeedRepeat& repeat) { return marks_of(repeat.prefill); },
        "From the prompt to the first new token");
    add(
        "time_per_token", durations.per_token,
        [](const SpeedRepeat& repeat) { return marks_of(repeat.decode); },
        "Between two new tokens of a sequence");
    add(
        "latency", durations.request, [](const SpeedRepeat& repeat) { return marks_of(repeat); },
        "From the prompt to the last new token, prefill and decode timed apart and added");
  }
}

void add_headline(std::vector<Statistic>& result, const Speed& speed,
                  const base::RandomStream& random) {
  const Series request = request_joules(speed, false);
  const std::string what =
      base::str_cat("batch ", speed.workload.batch, ", ", speed.workload.prompt_tokens,
                    " prompt and ", speed.workload.generated_tokens, " generated tokens, gross.");
  Series token = request;
  const double requests = 1e6 / static_cast<double>(speed.workload.generated_tokens);
  for (double& value : token.values) value *= requests;
  for (energy::Range& range : token.ranges) range = scaled(range, requests);
  result.push_back(summarize(
      "joules_per_million_tokens", token, "J",
      "Energy of a request for each million generated tokens, its prompt included: " + what,
      random));
  result.push_back(
      summarize("joules_per_request", request, "J", "Energy of one request: " + what, random));
  result.push_back(
      requests_per_kilowatt_hour(result.back(), "Requests for one kilowatt-hour: " + what));
  result.push_back(rate("tokens_per_second", speed, Phase::kDecode,
                        "Generated tokens a second while decoding: " + what, random));
}

void add_workload(std::vector<Statistic>& result, const Speed& speed,
                  const base::RandomStream& random) {
  const std::string suffix = base::str_cat("/batch_", speed.workload.batch);
  const auto add = [&](std::string_view metric, const Series& series, std::string unit,
                       std::string help) {
    result.push_back(
        summarize(base::str_cat(metric, suffix), series, std::move(unit), std::move(help), random));
  };
  result.push_back(rate("prefill_tokens_per_second" + suffix, speed, Phase::kPrefill,
                        "Prompt tokens read a second, all requests of the batch together.",
                        random));
  result.push_back(rate("decode_tokens_per_second" + suffix, speed, Phase::kDecode,
                        "Tokens generated a second, all requests of the batch together.", random));
  add("prefill_joules_per_token", token_joules(speed, Phase::kPrefill), "J",
      "Energy for each prompt token, gross.");
  add("decode_joules_per_token", token_joules(speed, Phase::kDecode), "J",
      "Energy for each token generated after the first one, gross.");
  add("joules_per_request", request_joules(speed, false), "J", "Energy of one request, gross.");
  add("net_joules_per_request", request_joules(speed, true), "J",
      "Energy of one request less what the devices draw when idle.");
  add_latency(result, speed, suffix, random);
}

base::Json row_of(const Workload& workload, Phase phase, size_t repeat, const PhaseWindow& window) {
  const Figure gross = joules_of(window, false), net = joules_of(window, true);
  const double seconds = seconds_of(window);
  return {{"batch", workload.batch},
          {"prompt_tokens", workload.prompt_tokens},
          {"generated_tokens", workload.generated_tokens},
          {"phase", to_string(phase)},
          {"repeat", repeat},
          {"runs", window.runs},
          {"seconds", seconds},
          {"tokens_per_second", base::finite_or_null(tokens_per_run(workload, phase) *
                                                     static_cast<double>(window.runs) / seconds)},
          {"joules", energy::json_or_null(gross.value)},
          {"net_joules", energy::json_or_null(net.value)},
          {"provenance", energy::to_text(gross.provenance)},
          {"marks", gross.marks}};
}

}  // namespace

std::vector<Statistic> speed_statistics(const std::vector<Speed>& speeds,
                                        base::RandomStream random) {
  std::vector<Statistic> result;
  if (!speeds.empty()) add_headline(result, speeds.front(), random);
  for (const Speed& speed : speeds) add_workload(result, speed, random);
  return result;
}

std::vector<base::Json> speed_rows(const std::vector<Speed>& speeds) {
  std::vector<base::Json> rows;
  for (const Speed& speed : speeds) {
    for (size_t r = 0; r < speed.repeats.size(); ++r) {
      rows.push_back(row_of(speed.workload, Phase::kPrefill, r, speed.repeats[r].prefill));
      rows.push_back(row_of(speed.workload, Phase::kDecode, r, speed.repeats[r].decode));
    }
  }
  return rows;
}

std::vector<std::string> speed_warnings(const Measured& measured) {
  double shortest = kWindowSeconds, fewest = kWindowUpdates;
  const auto look_at = [&](const PhaseWindow& window) {
    shortest = std::min(shortest, seconds_of(window));
    for (const energy::MeterWindow& meter : window.energy.meters) {
      if (meter.updates) fewest = std::min(fewest, *meter.updates);
    }
  };
  for (const std::vector<Speed>& speeds : measured.models) {
    for (const Speed& speed : speeds) {
      for (const SpeedRepeat& repeat : speed.repeats) {
        look_at(repeat.prefill);
        look_at(repeat.decode);
      }
    }
  }
  std::vector<std::string> result;
  if (fewest < kWindowUpdates) {
    result.push_back(
        base::str_cat("a counter moved only ", std::floor(fewest),
                      " times in a window, its energy is coarse; raise seconds_minimum (50 "
                      "movements are good)"));
  } else if (shortest < kWindowSeconds) {
    result.push_back(base::str_cat("the shortest window lasted ", base::format_duration(shortest),
                                   "; numbers are steadier from 5 s on: raise seconds_minimum"));
  }
  return result;
}

}  // namespace frugal::passes
