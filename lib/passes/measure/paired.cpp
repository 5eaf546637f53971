// Tested by: tests/passes/paired_test.cpp
#include "passes/measure/paired.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "energy/paired_rounds.h"
#include "evaluate/statistics.h"
#include "passes/measure/window_numbers.h"

namespace frugal::passes {
namespace {

using base::Json;
using energy::CostKind;
using energy::Figure;

double run_seconds(const PhaseWindow& window) {
  return seconds_of(window) / static_cast<double>(window.runs);
}

Figure timed_figure(double value, std::string unit, std::vector<std::string> marks) {
  return {value, std::move(unit), energy::Provenance::kMeasured, "", {}, std::move(marks)};
}

Figure median_figure(std::vector<double> seconds, std::vector<std::string> marks) {
  std::sort(seconds.begin(), seconds.end());
  return timed_figure(evaluate::quantile_of_sorted(seconds, 0.5), "seconds", std::move(marks));
}

struct PairedMetric {
  const char* name;
  CostKind kind;
  Figure (*of)(const Workload&, const SpeedRepeat&);
};

const auto& metrics() {
  static const std::array kMetrics = {
      PairedMetric{"joules_per_request", CostKind::kEnergy,
                   [](const Workload& work, const SpeedRepeat& round) {
                     return joules_per_request(work, round, false);
                   }},
      PairedMetric{"net_joules_per_request", CostKind::kEnergy,
                   [](const Workload& work, const SpeedRepeat& round) {
                     return joules_per_request(work, round, true);
                   }},
      PairedMetric{"prefill_joules_per_token", CostKind::kEnergy,
                   [](const Workload& work, const SpeedRepeat& round) {
                     return joules_per_token(work, round, Phase::kPrefill);
                   }},
      PairedMetric{"decode_joules_per_token", CostKind::kEnergy,
                   [](const Workload& work, const SpeedRepeat& round) {
                     return joules_per_token(work, round, Phase::kDecode);
                   }},
      PairedMetric{"prefill_tokens_per_second", CostKind::kSpeed,
                   [](const Workload& work, const SpeedRepeat& round) {
                     return timed_figure(tokens_per_second(work, round, Phase::kPrefill),
                                         "tokens/s", marks_of(round.prefill));
                   }},
      PairedMetric{"decode_tokens_per_second", CostKind::kSpeed,
                   [](const Workload& work, const SpeedRepeat& round) {
                     return timed_figure(tokens_per_second(work, round, Phase::kDecode), "tokens/s",
                                         marks_of(round.decode));
                   }},
      PairedMetric{"time_to_first_token_p50", CostKind::kTime,
                   [](const Workload&, const SpeedRepeat& round) {
                     return median_figure(round.prefill.run_seconds, marks_of(round.prefill));
                   }},
      PairedMetric{"latency_p50", CostKind::kTime,
                   [](const Workload&, const SpeedRepeat& round) {
                     return median_figure(request_seconds(round), marks_of(round));
                   }},
  };
  return kMetrics;
}

const char* kind_name(CostKind kind) {
  return kind == CostKind::kEnergy ? "energy" : kind == CostKind::kTime ? "time" : "speed";
}

// One metric over the rounds that count, or the reason why it is unknown.
struct PairedSeries {
  std::vector<double> values, reference, log_ratios;
  std::string unit, missing;
  energy::Provenance provenance = energy::Provenance::kMeasured;
  std::vector<std::string> marks;
};

void add_round(PairedSeries& series, const Figure& value, const Figure& reference, size_t round) {
  for (const Figure* figure : {&value, &reference}) {
    series.unit = figure->unit;
    series.provenance = energy::weakest(series.provenance, figure->provenance);
    for (const std::string& mark : figure->marks) energy::add_mark(mark, &series.marks);
    if (!series.missing.empty()) continue;
    if (!figure->value) {
      series.missing = figure->basis;
    } else if (!(*figure->value > 0) || !std::isfinite(*figure->value)) {
      series.missing = base::str_cat("round ", round, " has no value above zero: ", *figure->value,
                                     " ", figure->unit);
    }
  }
  if (!series.missing.empty()) return;
  series.values.push_back(std::log(*value.value));
  series.reference.push_back(std::log(*reference.value));
  series.log_ratios.push_back(std::log(*value.value / *reference.value));
}

Json comparison_row(const PairedMetric& metric, const Speed& model, const Speed& reference,
                    const std::vector<bool>& out, const PairedOptions& options) {
  PairedSeries series;
  for (size_t round = 0; round < model.repeats.size(); ++round) {
    if (out[round]) continue;
    add_round(series, metric.of(model.workload, model.repeats[round]),
              metric.of(reference.workload, reference.repeats[round]), round);
  }
  const bool known = series.missing.empty() && !series.log_ratios.empty();
  Json row = {{"metric", metric.name},
              {"batch", model.workload.batch},
              {"reference", options.reference},
              {"kind", kind_name(metric.kind)},
              {"unit", series.unit},
              {"rounds_left_out", std::count(out.begin(), out.end(), true)},
              {"provenance", energy::to_text(series.provenance)},
              {"marks", series.marks}};
  if (!known) {
    row["ratio"] = row["verdict"] = nullptr;
    row["n"] = 0;
    row["reason"] = series.missing.empty() ? "every round was left out" : series.missing;
    return row;
  }
  const energy::PairedRounds result = energy::compare_rounds(series.log_ratios);
  row["value"] = std::exp(evaluate::mean(series.values));
  row["reference_value"] = std::exp(evaluate::mean(series.reference));
  row["log_ratios"] = series.log_ratios;
  row["ratio"] = result.ratio;
  row["low"] = result.interval ? Json(result.interval->low) : Json();
  row["high"] = result.interval ? Json(result.interval->high) : Json();
  row["confidence"] = result.confidence;
  row["p_value"] = result.p_value;
  row["n"] = result.rounds;
  row["method"] = "randomization test over the orders drawn by lot";
  row["bootstrap"] =
      energy::to_json(energy::bootstrap_rounds(series.log_ratios, result.confidence));
  row["verdict"] = energy::verdict(metric.kind, result);
  return row;
}

std::string rule_in_words(double deviations) {
  if (deviations == 0) return "every round counts";
  return base::str_cat(
      "left out where the seconds of both models' runs of a phase lie further than ", deviations,
      " scaled median absolute deviations from the median of rounds");
}

// The verdict beside the number it is about.
pass::Statistic ratio_statistic(const Json& row) {
  const std::string metric = row["metric"].get<std::string>();
  const std::string reference = row["reference"].get<std::string>();
  pass::Statistic out{.name = base::str_cat(metric, "_ratio"), .unit = "of the reference's"};
  out.help = base::str_cat(metric, " at batch ", row["batch"].get<int64_t>(), " by that of ",
                           reference, ", measured in turns");
  out.provenance = row["provenance"].get<std::string>();
  out.marks = row["marks"].get<std::vector<std::string>>();
  if (row["ratio"].is_null()) {
    out.help += base::str_cat(". Unknown: ", row["reason"].get<std::string>());
    return out;
  }
  out.help += base::str_cat(": ", row["verdict"].get<std::string>(), ".");
  out.value = row["ratio"].get<double>();
  out.n = row["n"].get<int64_t>();
  if (row["low"].is_null()) return out;
  out.low = row["low"].get<double>();
  out.high = row["high"].get<double>();
  out.confidence = row["confidence"].get<double>();
  out.method = row["method"].get<std::string>();
  return out;
}

}  // namespace

std::vector<bool> left_out(const Speed& model, const Speed& reference, double deviations) {
  std::vector<bool> out(model.repeats.size(), false);
  for (const Phase phase : {Phase::kPrefill, Phase::kDecode}) {
    std::vector<double> levels;
    for (size_t round = 0; round < model.repeats.size(); ++round) {
      levels.push_back(std::log(run_seconds(phase_of(model.repeats[round], phase))) +
                       std::log(run_seconds(phase_of(reference.repeats[round], phase))));
    }
    const std::vector<bool> apart = energy::outlying_rounds(levels, deviations);
    for (size_t round = 0; round < out.size(); ++round) out[round] = out[round] || apart[round];
  }
  return out;
}

std::vector<Json> round_rows(const Measured& measured, const PairedOptions& options) {
  std::vector<Json> rows;
  for (size_t work = 0; work < measured.models[0].size(); ++work) {
    const Speed &model = measured.models[0][work], &reference = measured.models[1][work];
    const std::vector<bool> out = left_out(model, reference, options.outlier_deviations);
    for (size_t round = 0; round < out.size(); ++round) {
      const auto seconds = [&](const Speed& speed) {
        return run_seconds(speed.repeats[round].prefill) + run_seconds(speed.repeats[round].decode);
      };
      rows.push_back({{"batch", model.workload.batch},
                      {"round", round},
                      {"first", measured.first[round] == 0 ? "model" : "reference"},
                      {"seconds", seconds(model)},
                      {"reference_seconds", seconds(reference)},
                      {"left_out", static_cast<bool>(out[round])},
                      {"rule", rule_in_words(options.outlier_deviations)}});
    }
  }
  return rows;
}

std::vector<Json> comparison_rows(const Measured& measured, const PairedOptions& options) {
  std::vector<Json> rows;
  for (size_t work = 0; work < measured.models[0].size(); ++work) {
    const Speed &model = measured.models[0][work], &reference = measured.models[1][work];
    const std::vector<bool> out = left_out(model, reference, options.outlier_deviations);
    for (const PairedMetric& metric : metrics())
      rows.push_back(comparison_row(metric, model, reference, out, options));
  }
  return rows;
}

std::vector<pass::Statistic> comparison_statistics(const std::vector<Json>& rows) {
  std::vector<pass::Statistic> out;
  for (const Json& row : rows) {
    const auto metric = row["metric"].get<std::string>();
    if (row["batch"].get<int64_t>() != rows.front()["batch"].get<int64_t>()) break;
    if (metric == "joules_per_request" || metric == "decode_tokens_per_second")
      out.push_back(ratio_statistic(row));
  }
  return out;
}

std::vector<std::string> comparison_warnings(const std::vector<Json>& rows) {
  std::vector<std::string> out;
  int64_t warned = -1;  // batch
  for (const Json& row : rows) {
    const auto batch = row["batch"].get<int64_t>();
    const auto lost = row["rounds_left_out"].get<int64_t>();
    if (lost == 0 || batch == warned) continue;
    warned = batch;
    out.push_back(base::str_cat("batch ", batch, ": ", lost,
                                lost == 1 ? " round was" : " rounds were",
                                " left out of the comparison, for both models alike: other work "
                                "disturbed it (table energy_rounds)"));
  }
  const bool few = std::any_of(rows.begin(), rows.end(), [](const Json& row) {
    return row["n"].get<int64_t>() > 0 && row["low"].is_null();
  });
  if (few) {
    out.push_back(
        base::str_cat("no difference can be shown with so few rounds; give repeats at least ",
                      energy::rounds_needed()));
  }
  return out;
}

}  // namespace frugal::passes
