#include "report/compare_runs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "base/units.h"
#include "report/access.h"
#include "report/best_use.h"
#include "report/claim.h"
#include "report/findings.h"
#include "report/metered.h"
#include "report/models.h"
#include "report/throughput.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str_cat;

// How a number was obtained: {"machine": "…", "meters": "…"}; numbers may be held against each
// other where these are equal.
using Conditions = std::map<std::string, std::string>;

struct Cell {
  Json number;
  Conditions conditions;
};
struct RunRow {
  Json shown;
  std::map<std::string, Cell> cells;
};

// Which items a step answered: a hash of their ids, whatever the answers were.
std::string items_of(const fs::path& file) {
  const auto text = base::read_file(file);
  if (!text.ok()) return "unknown: no items are kept";
  base::Sha256 ids;
  for (const std::string& line : base::split(*text, '\n')) {
    const auto item = base::parse_json(line, "item");
    if (!line.empty() && item.ok()) ids.add(any_at(*item, "id").dump()).add("\n");
  }
  return ids.hex();
}

bool is_quality(std::string_view metric) {
  for (const char* pattern : {"perplexity", "*/acc", "*/acc_norm", "*/accuracy", "*/exact_match*",
                              "*/coverage", "*/answer_log_likelihood"}) {
    if (base::glob_match(pattern, metric)) return true;
  }
  return false;
}

bool is_cost(std::string_view metric) {
  return metric == "joules_per_million_tokens" || metric == "tokens_per_second" ||
         metric.ends_with("_grams");
}

class Run {
 public:
  Run(const fs::path& folder, const JournalView& journal)
      : folder_(folder),
        journal_(journal),
        models_(collect_models(journal, baseline_of(journal))),
        throughput_(collect_throughput(journal, models_)),
        comparisons_(collect_comparisons(journal)) {}

  Json description() const {
    const Json& start = journal_.run_start;
    return {{"name", text_at(start, "name")},
            {"folder", folder_.string()},
            {"started", text_at(start, "time")},
            {"status",
             journal_.run_end.is_object() ? text_at(journal_.run_end, "status") : "unfinished"},
            {"machine", machine()},
            {"meters", meters()},
            {"site", text_at(object_at(start, "site"), "name")},
            {"baseline", baseline_of(journal_)},
            {"claim", claim_text()},
            {"journal_sha256", journal_.sha256}};
  }

  std::vector<RunRow> rows() {
    std::vector<RunRow> out;
    for (const Json& model : models_) {
      const std::string name = text_at(model, "name");
      for (const std::string& engine : engines_of(name)) {
        RunRow row;
        row.shown = {{"run", text_at(journal_.run_start, "name")},
                     {"model", name},
                     {"role", text_at(model, "role")},
                     {"engine", engine},
                     {"claim", verdict_of(name)}};
        for (const char* key : {"parameters", "weight_bytes", "bits_per_weight"}) {
          if (const Json* number = find_number(model, key)) row.cells[key] = {*number, {}};
        }
        add_quality(name, engine, row);
        add_cost(name, engine, row);
        out.push_back(std::move(row));
      }
    }
    return out;
  }

 private:
  // What decides how long work takes and what it draws.
  std::string machine() const {
    const Json of = object_at(journal_.run_start, "machine");
    return str_cat(text_at(of, "cpu", "a CPU of unknown name"), ", ", integer_at(of, "cores"),
                   " cores, ", integer_at(of, "memory_bytes") >> 20, " MiB, ",
                   text_at(of, "device"));
  }

  std::string meters() const {
    std::vector<std::string> names;
    for (const Json& meter : list_at(journal_.run_start, "meters")) {
      if (!meter.contains("unavailable"))
        names.push_back(str_cat(text_at(meter, "scope"), " (", text_at(meter, "provenance"), ", ",
                                text_at(meter, "method"), ")"));
    }
    return names.empty() ? "none" : base::join(names, "; ");
  }

  std::string claim_text() const {
    const Json* claim = claim_of(journal_);
    if (claim == nullptr) return "";
    return str_cat(text_at(*claim, "metric"), " within ", number_at(*claim, "margin"), " (",
                   text_at(*claim, "kind", "absolute"), ") of ", baseline_of(journal_));
  }

  // "claimed", "not claimed", "too few items"; "" where it was not tested.
  std::string verdict_of(const std::string& model) const {
    const Json* claim = claim_of(journal_);
    for (const Json& row : comparisons_) {
      if (claim != nullptr && text_at(row, "model") == model &&
          text_at(row, "metric") == text_at(*claim, "metric"))
        return text_at(row, "verdict");
    }
    return "";
  }

  // The steps of a pass that looked at a model.
  std::vector<const Json*> steps_of(const std::string& model, std::string_view pass) const {
    std::vector<const Json*> found;
    for (const Json& step : journal_.steps) {
      const Json from = list_at(step, "from");
      if (text_at(step, "pass") == pass && text_at(step, "event") == "step_end" && !from.empty() &&
          from[0].is_string() && from[0].get<std::string>() == model)
        found.push_back(&step);
    }
    return found;
  }

  std::vector<std::string> engines_of(const std::string& model) const {
    std::vector<std::string> engines;
    for (const char* pass : {"measure", "evaluate"}) {
      for (const Json* step : steps_of(model, pass)) {
        const std::string engine = engine_or_forward(*step);
        if (std::find(engines.begin(), engines.end(), engine) == engines.end())
          engines.push_back(engine);
      }
    }
    if (engines.empty()) engines.emplace_back();
    return engines;
  }

  void add_quality(const std::string& model, const std::string& engine, RunRow& row) const {
    for (const Json* step : steps_of(model, "evaluate")) {
      if (engine_or_forward(*step) != engine) continue;
      for (const Json& statistic : list_at(*step, "statistics")) {
        const std::string metric = text_at(statistic, "name");
        if (!is_quality(metric)) continue;
        Cell cell{number_of(statistic, step_name(*step)), {{"runtime", engine}}};
        // Protocol, windows and the text's hash; or how the questions were put.
        cell.conditions["protocol"] = text_at(statistic, "help");
        if (const size_t slash = metric.find('/'); slash != std::string::npos) {
          cell.conditions["items"] = items_of(folder_ / "items" / step_name(*step) /
                                              str_cat(metric.substr(0, slash), ".jsonl"));
          // The sentence may carry the number's own error.
          std::string& protocol = cell.conditions["protocol"];
          protocol = protocol.substr(0, protocol.find(", standard error"));
        }
        row.cells[metric] = std::move(cell);
      }
    }
  }

  void add_cost(const std::string& model, const std::string& engine, RunRow& row) const {
    const Throughput* of = nullptr;
    for (const Throughput& each : throughput_) {
      const bool its =
          std::find(each.models.begin(), each.models.end(), model) != each.models.end();
      if (its && each.engine == engine) of = &each;
    }
    if (of == nullptr) return;
    const Conditions work = {
        {"machine", machine()}, {"meters", meters()}, {"runtime", engine}, {"work", of->workload}};
    row.cells["joules_per_million_tokens"] = {of->joules, work};
    row.cells["tokens_per_second"] = {of->tokens_per_second, work};
    Conditions at_site = work;
    at_site["site"] = text_at(object_at(journal_.run_start, "site"), "name", "none");
    row.cells["location_grams"] = {carbon(of->joules, "intensity"), at_site};
    row.cells["market_grams"] = {carbon(of->joules, "market_intensity"), at_site};
  }

  // gCO2e of a million tokens, by one of the site's intensities.
  Json carbon(const Json& joules, const char* by) const {
    const Json site = object_at(journal_.run_start, "site");
    const Json intensity = any_at(object_at(site, by), "grams_per_kwh");
    const Json pue = any_at(object_at(site, "pue"), "value");
    Json out = joules;
    out["unit"] = "gCO2e";
    for (const char* key : {"low", "high", "confidence", "method"}) out.erase(key);
    if (!any_at(joules, "value").is_number()) return out;
    if (!intensity.is_number() || !pue.is_number()) {
      return {{"value", nullptr},
              {"source", text_at(joules, "source")},
              {"reason", site.empty() ? "the run has no site" : "not in the site file"}};
    }
    const double factor =
        intensity.get<double>() * pue.get<double>() / base::kJoulesPerKilowattHour;
    out["value"] = number_at(joules, "value") * factor;
    if (Json range = object_at(joules, "range"); !range.empty()) {
      out["range"] = {{"low", number_at(range, "low") * factor},
                      {"high", number_at(range, "high") * factor}};
    }
    out["provenance"] = "assumed";
    out["help"] = str_cat("joules × PUE ", pue.dump(), " × ", intensity.dump(), " g/kWh");
    return out;
  }

  const fs::path& folder_;
  const JournalView& journal_;
  const Json models_;
  const std::vector<Throughput> throughput_;
  const Json comparisons_;
};

bool is_known(const RunRow& row, const std::string& key) {
  const auto cell = row.cells.find(key);
  return cell != row.cells.end() && any_at(cell->second.number, "value").is_number();
}

// What stands in a column and is not ranked there: frugal's own forward, where others were served.
// Its cost is the same for every grid, and nobody is served by it.
std::string left_aside(const std::vector<RunRow>& rows, const std::string& key) {
  if (!is_cost(key)) return "";
  const bool served = std::any_of(rows.begin(), rows.end(), [&](const RunRow& row) {
    return is_known(row, key) && text_at(row.shown, "engine") != kOwnForward;
  });
  return served ? kOwnForward : "";
}

// Whether every known number of a column was obtained alike; else what differs.
std::string differences(const std::vector<RunRow>& rows, const std::string& key) {
  const std::string aside = left_aside(rows, key);
  std::map<std::string, std::set<std::string>> seen;
  for (const RunRow& row : rows) {
    if (!is_known(row, key) || text_at(row.shown, "engine") == aside) continue;
    for (const auto& [what, value] : row.cells.at(key).conditions) seen[what].insert(value);
  }
  std::vector<std::string> parts;
  for (const auto& [what, values] : seen) {
    const bool unknown = std::any_of(values.begin(), values.end(), [](const std::string& value) {
      return value.starts_with("unknown");
    });
    if (values.size() < 2 && !unknown) continue;
    const std::vector<std::string> listed(values.begin(), values.end());
    parts.push_back(str_cat(what, ": ", base::join(listed, " | ")));
  }
  return base::join(parts, "; ");
}

std::string title_of(const std::string& key) {
  static const std::map<std::string, std::string> kTitles = {
      {"parameters", "parameters"},
      {"weight_bytes", "bytes"},
      {"bits_per_weight", "bits/weight"},
      {"joules_per_million_tokens", "J per 1M tokens"},
      {"tokens_per_second", "tokens/s"},
      {"location_grams", "gCO2e per 1M tokens, location"},
      {"market_grams", "gCO2e per 1M tokens, market"}};
  const auto found = kTitles.find(key);
  if (found != kTitles.end()) return found->second;
  std::string title = key;
  std::replace(title.begin(), title.end(), '/', ' ');
  return title;
}

std::string unit_of(const std::string& key) {
  if (key == "parameters") return "count";
  if (key == "weight_bytes") return "bytes";
  return is_share(key) ? "fraction" : "";
}

int direction_of(const std::string& key) {
  if (key == "tokens_per_second") return 1;
  if (key.ends_with("_grams") || key == "joules_per_million_tokens") return -1;
  return better_direction(key);
}

Json columns_of(const std::vector<RunRow>& rows) {
  std::vector<std::string> keys = {
      "parameters",        "weight_bytes",   "bits_per_weight", "joules_per_million_tokens",
      "tokens_per_second", "location_grams", "market_grams"};
  for (const RunRow& row : rows) {
    for (const auto& [key, cell] : row.cells) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  Json columns = Json::array();
  for (const std::string& key : keys) {
    if (std::none_of(rows.begin(), rows.end(),
                     [&](const RunRow& row) { return is_known(row, key); }))
      continue;
    const std::string differ = differences(rows, key);
    columns.push_back({{"key", key},
                       {"title", title_of(key)},
                       {"unit", unit_of(key)},
                       {"better", direction_of(key) > 0 ? "higher" : "lower"},
                       {"comparable", differ.empty()},
                       {"not_ranked", left_aside(rows, key)},
                       {"note", differ}});
  }
  return columns;
}

Json rows_json(const std::vector<RunRow>& rows) {
  Json out = Json::array();
  for (const RunRow& row : rows) {
    Json shown = row.shown;
    shown["cells"] = Json::object();
    for (const auto& [key, cell] : row.cells) shown["cells"][key] = cell.number;
    out.push_back(std::move(shown));
  }
  return out;
}

}  // namespace

absl::StatusOr<Json> compare_runs(const std::vector<fs::path>& run_folders) {
  if (run_folders.empty()) return base::invalid_argument("compare: no run was given");
  std::vector<JournalView> journals;
  std::set<std::string> known;
  for (const fs::path& folder : run_folders) {
    FRUGAL_ASSIGN_OR_RETURN(JournalView journal, read_journal(folder / "journal.jsonl"));
    if (!known.insert(journal.sha256).second)
      return base::invalid_argument("compare: '", folder.string(),
                                    "' has the journal of a run that was given before");
    journals.push_back(std::move(journal));
  }
  std::vector<RunRow> rows;
  Json runs = Json::array();
  for (size_t i = 0; i < journals.size(); ++i) {
    Run run(run_folders[i], journals[i]);
    runs.push_back(run.description());
    for (RunRow& row : run.rows()) {
      row.shown["run_index"] = i;
      rows.push_back(std::move(row));
    }
  }
  Json out = {{"schema", 1},
              {"name", str_cat("compare ", runs.size(), runs.size() == 1 ? " run" : " runs")},
              {"runs", runs},
              {"columns", columns_of(rows)},
              {"rows", rows_json(rows)}};
  choose_best(out);
  return out;
}

}  // namespace frugal::report
