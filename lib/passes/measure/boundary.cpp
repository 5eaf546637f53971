#include "passes/measure/boundary.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "passes/measure/window_numbers.h"

namespace frugal::passes {
namespace {

using base::Json;
using energy::Domain;
using energy::MeterWindow;

constexpr std::array kConditions = {"temperature_celsius", "clock_mhz", "memory_clock_mhz",
                                    "power_limit_watts", "power_watts"};

const char* part_of(Domain domain) {
  switch (domain) {
    case Domain::kGpu:
      return "accelerator";
    case Domain::kMachine:
      return "whole_machine";
    case Domain::kCpu:
    case Domain::kMemory:
      break;
  }
  return "host";
}

// Every window of a model.
std::vector<const PhaseWindow*> windows_of(const std::vector<Speed>& speeds) {
  std::vector<const PhaseWindow*> out;
  for (const Speed& speed : speeds) {
    for (const SpeedRepeat& repeat : speed.repeats) {
      out.push_back(&repeat.prefill);
      out.push_back(&repeat.decode);
    }
  }
  return out;
}

Json inside(const energy::WindowResult& window) {
  Json out = Json::array();
  for (const MeterWindow& meter : window.meters) {
    if (!meter.info.in_total) continue;
    out.push_back({{"meter", meter.info.name},
                   {"scope", meter.info.scope},
                   {"part", part_of(meter.info.domain)},
                   {"whole_device", meter.info.whole_device},
                   {"provenance", energy::to_text(meter.info.provenance)}});
  }
  return out;
}

Json outside(const energy::WindowResult& window) {
  const auto counted = [&](Domain domain) {
    return std::any_of(window.meters.begin(), window.meters.end(), [&](const MeterWindow& meter) {
      return meter.info.in_total && meter.info.domain == domain;
    });
  };
  Json out = Json::array();
  const bool machine = counted(Domain::kMachine);
  if (!machine && !counted(Domain::kGpu)) out.push_back("accelerators, of which none is metered");
  if (!machine && !counted(Domain::kCpu)) out.push_back("the CPU, which no meter tells");
  if (!machine && !counted(Domain::kMemory))
    out.push_back("memory apart from what the meters inside count with it");
  for (const MeterWindow& meter : window.meters) {
    if (meter.info.in_total && !meter.info.whole_device) {
      out.push_back(base::str_cat("what the machine draws when idle: ", meter.info.name,
                                  " counts this process and its children alone"));
    }
  }
  if (!machine) out.push_back("storage, network, fans and power supplies of the machine");
  out.push_back("overhead of the building (PUE), cooling water: factors of the site");
  out.push_back("making the hardware; training and compressing the model");
  return out;
}

struct PartSums {
  std::map<std::string, double> parts;
  double gross = 0, idle = 0;
  bool known = true, idle_known = true;
  std::vector<std::string> marks;
  energy::Provenance provenance = energy::Provenance::kMeasured;
};

PartSums part_sums(const std::vector<Speed>& speeds) {
  PartSums out;
  for (const PhaseWindow* window : windows_of(speeds)) {
    const energy::Figure total = joules_of(*window, false);
    out.provenance = energy::weakest(out.provenance, total.provenance);
    for (const std::string& mark : total.marks) energy::add_mark(mark, &out.marks);
    out.known = out.known && total.value.has_value();
    for (const MeterWindow& meter : window->energy.meters) {
      if (!meter.info.in_total) continue;
      out.idle_known =
          out.idle_known && meter.info.whole_device && meter.joules && meter.net_joules;
      out.gross += meter.joules.value_or(0);
      out.parts[part_of(meter.info.domain)] += meter.joules.value_or(0);
      if (meter.joules && meter.net_joules) out.idle += *meter.joules - *meter.net_joules;
    }
  }
  out.known = out.known && out.gross > 0;
  return out;
}

void add_span(Json& span, const Json& value) {
  if (!value.is_number()) return;
  const double number = value.get<double>();
  if (span.is_null()) span = {{"low", number}, {"high", number}};
  span["low"] = std::min(span["low"].get<double>(), number);
  span["high"] = std::max(span["high"].get<double>(), number);
}

}  // namespace

Json boundary_row(const Measured& measured) {
  const std::vector<Speed>& speeds = measured.models.front();
  const auto windows = windows_of(speeds);
  const energy::WindowResult none;
  const energy::WindowResult& any = windows.empty() ? none : windows.front()->energy;
  const Workload work = speeds.empty() ? Workload{} : speeds.front().workload;
  const PartSums sums = part_sums(speeds);
  Json shares = Json::object();
  for (const char* part : {"accelerator", "host", "whole_machine"}) {
    const auto found = sums.parts.find(part);
    const bool metered = sums.known && found != sums.parts.end();
    shares[part] = metered ? Json(found->second / sums.gross) : Json();
  }
  return {
      {"functional_unit", "one request answered"},
      {"reference_flow",
       base::str_cat("a prompt of ", work.prompt_tokens, " tokens read and ", work.generated_tokens,
                     " tokens generated, at batch ", work.batch)},
      {"software_boundary", "inference alone: prefill and decode in the runtime, loaded and warm"},
      {"inside", inside(any)},
      {"outside", outside(any)},
      {"joules", sums.known ? Json(sums.gross) : Json()},
      {"shares", shares},
      {"idle_share", sums.known && sums.idle_known ? Json(sums.idle / sums.gross) : Json()},
      {"overhead", "outside: the report multiplies by the PUE of a site file"},
      {"provenance", energy::to_text(sums.provenance)},
      {"marks", sums.marks}};
}

std::vector<Json> idle_rows(const Measured& measured) {
  std::vector<Json> rows;
  for (size_t i = 0; i < measured.idle.size(); ++i) {
    for (const MeterWindow& meter : measured.idle[i].meters) {
      if (!meter.info.whole_device) continue;
      Json row = {{"when", i == 0 ? "before" : "after"},
                  {"meter", meter.info.name},
                  {"seconds", meter.seconds},
                  {"joules", energy::json_or_null(meter.joules)},
                  {"watts", energy::json_or_null(meter.mean_watts)},
                  {"provenance", energy::to_text(meter.info.provenance)}};
      if (!meter.reason.empty()) row["reason"] = meter.reason;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<Json> condition_rows(const Measured& measured) {
  std::vector<Json> rows;
  std::map<std::string, size_t> position;
  for (const std::vector<Speed>& speeds : measured.models) {
    for (const PhaseWindow* window : windows_of(speeds)) {
      for (const MeterWindow& meter : window->energy.meters) {
        const auto [entry, added] = position.try_emplace(meter.info.name, rows.size());
        if (added) rows.push_back({{"meter", meter.info.name}, {"scope", meter.info.scope}});
        Json& row = rows[entry->second];
        for (const char* condition : kConditions) {
          for (const Json* at : {&meter.conditions_begin, &meter.conditions_end})
            add_span(row[condition], at->value(condition, Json()));
        }
      }
    }
  }
  for (Json& row : rows) {
    row["not_told"] = Json::array();
    for (const char* condition : kConditions) {
      if (!row[condition].is_null()) continue;
      row.erase(condition);
      row["not_told"].push_back(condition);
    }
  }
  return rows;
}

}  // namespace frugal::passes
