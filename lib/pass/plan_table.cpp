// Tested by: tests/pass/plan_test.cpp
// What `frugal plan` prints.
#include <algorithm>

#include "pass/plan.h"
#include "pass/table.h"

namespace frugal::pass {
namespace {

std::string parameters_text(int64_t count) {
  if (count < 1'000'000) return base::str_cat(base::format_count(count));
  const double millions = static_cast<double>(count) / 1e6;
  return millions < 1000 ? base::str_cat(std::round(millions * 10) / 10, "M")
                         : base::str_cat(std::round(millions / 10) / 100, "B");
}

bool yields_model(const Unit& unit) { return unit.pass->info().output == Output::kCheckpoint; }

std::string bytes_text(const std::optional<int64_t>& bytes) {
  return bytes ? base::format_bytes(static_cast<double>(*bytes)) : "?";
}

std::string cached_text(const Unit& unit, const Cache& cache) {
  if (unit.key.empty()) return "?";
  return cache.contains(unit.key) ? "yes" : "no";
}

// One line for each text, whatever the number of units that it is said of.
std::string said(const Plan& plan, std::string_view kind,
                 std::vector<std::string> Unit::* const texts) {
  std::vector<std::pair<std::string, std::vector<std::string>>> all;
  for (const Unit& unit : plan.units) {
    for (const std::string& text : unit.*texts) {
      auto found = std::find_if(all.begin(), all.end(),
                                [&](const auto& entry) { return entry.first == text; });
      if (found == all.end()) found = all.insert(all.end(), {text, {}});
      found->second.push_back(unit.name());
    }
  }
  std::string out;
  for (const auto& [text, names] : all) {
    const std::string others =
        names.size() == 1 ? "" : base::str_cat(" and ", names.size() - 1, " more");
    out += base::str_cat(kind, ": ", names.front(), others, ": ", text, "\n");
  }
  return out;
}

}  // namespace

std::string plan_table(const Plan& plan, const Cache& cache) {
  Table table(
      {"step", "pass", "from", "model", "parameters", "bytes", "peak memory", "time", "cached"});
  table.align_right({4, 5, 6, 7});
  for (const Unit& unit : plan.units) {
    const bool model = yields_model(unit) && unit.checked;
    table.row({unit.name(), unit.pass->info().name, unit.from,
               model ? architecture_text(unit.model.config) : "",
               model ? parameters_text(unit.model.config.parameter_count()) : "",
               model ? base::format_bytes(static_cast<double>(unit.model.size_bytes))
               : unit.estimate.output_bytes ? bytes_text(unit.estimate.output_bytes)
                                            : "",
               bytes_text(unit.estimate.peak_memory_bytes),
               unit.estimate.seconds ? base::format_duration(*unit.estimate.seconds) : "?",
               cached_text(unit, cache)});
  }
  return base::str_cat(table.text(), said(plan, "note", &Unit::notes),
                       said(plan, "warning", &Unit::warnings));
}

base::Json plan_json(const Plan& plan, const Cache& cache) {
  base::Json units = base::Json::array();
  const auto number = [](const auto& value) {
    return value ? base::Json(*value) : base::Json(nullptr);
  };
  for (const Unit& unit : plan.units) {
    base::Json item = {{"id", unit.id},
                       {"variant", unit.variant},
                       {"pass", unit.pass->info().name},
                       {"from", unit.from},
                       {"options", unit.options},
                       {"key", unit.key},
                       {"arithmetic", unit.arithmetic}};
    item["cached"] = unit.key.empty() ? base::Json(nullptr) : base::Json(cache.contains(unit.key));
    if (yields_model(unit) && unit.checked) {
      item["parameters"] = unit.model.config.parameter_count();
      item["size_bytes"] = unit.model.size_bytes;
    }
    item["estimate"] = {{"seconds", number(unit.estimate.seconds)},
                        {"peak_memory_bytes", number(unit.estimate.peak_memory_bytes)},
                        {"output_bytes", number(unit.estimate.output_bytes)},
                        {"basis", unit.estimate.basis}};
    item["warnings"] = unit.warnings;
    item["notes"] = unit.notes;
    units.push_back(std::move(item));
  }
  return {{"name", plan.pipeline.name}, {"seed", plan.pipeline.seed}, {"units", units}};
}

}  // namespace frugal::pass
