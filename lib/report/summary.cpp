// report.json:
//   {schema, name, description, frugal, started, status, command, seed, journal_sha256,
//    verdict {status, sentence, detail}, claim, columns [{key, title, unit, help, better}],
//    models [{name, role, pass, architecture, cells {metric: number}}], table {finding,
//    description}, served [artifacts in their runtimes: served.h], figures {...}, provenance {...}}
//   number: {value|null, unit, help, provenance, low, high, confidence, n, method, reason, source}
#include <set>
#include <string>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/amortization.h"
#include "report/architectures.h"
#include "report/energy_boundary.h"
#include "report/energy_comparison.h"
#include "report/findings.h"
#include "report/models.h"
#include "report/report.h"
#include "report/served.h"
#include "report/tco_figure.h"

namespace frugal::report {

namespace {

using base::Json;

absl::Status check_steps(const JournalView& journal) {
  for (const Json& step : journal.steps) {
    for (const char* key : {"id", "pass", "key"}) {
      if (!step.contains(key) || !step[key].is_string()) {
        return base::data_loss("a step record of the journal has no text '", key, "': found ",
                               step.dump().substr(0, 200));
      }
    }
    if (step.contains("from") && !step["from"].is_array()) {
      return base::data_loss("the record of step ", step_name(step),
                             " has a 'from' that is no list");
    }
  }
  return absl::OkStatus();
}

// [{text, steps}]: what several steps warn of stands once.
void add_warning(const std::string& text, const std::string& step, Json& warnings) {
  for (Json& known : warnings) {
    if (text_at(known, "text") != text) continue;
    known["steps"].push_back(step);
    return;
  }
  warnings.push_back({{"text", text}, {"steps", Json::array({step})}});
}

Json provenance(const JournalView& journal) {
  Json files = Json::array(), steps = Json::array(), warnings = Json::array();
  for (const Json& step : journal.steps) {
    steps.push_back(
        {{"step", step_name(step)}, {"key", step["key"]}, {"options", object_at(step, "options")}});
    const Json tables = object_at(step, "tables");
    if (tables.is_object() && tables.contains("files")) {
      for (const Json& file : tables["files"]) files.push_back(file);
    }
    for (const Json& warning : list_at(step, "warnings")) {
      if (warning.is_string()) add_warning(warning.get<std::string>(), step_name(step), warnings);
    }
  }
  Json meters = Json::array();
  for (const Json& meter : list_at(journal.run_start, "meters")) {
    const bool absent = meter.contains("unavailable");
    meters.push_back(
        {{"name", text_at(meter, "name")},
         {"scope", absent ? "not available" : text_at(meter, "scope")},
         {"provenance", absent ? "" : text_at(meter, "provenance")},
         {"detail", absent ? text_at(meter, "unavailable") : text_at(meter, "method")}});
  }
  return {{"machine", object_at(journal.run_start, "machine")},
          {"meters", meters},
          {"site", any_at(journal.run_start, "site")},
          {"files", files},
          {"steps", steps},
          {"warnings", warnings}};
}

std::string status_of_run(const JournalView& journal) {
  if (journal.run_end.is_object()) return text_at(journal.run_end, "status", "done");
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") == "step_failed") return "failed";
  }
  return "unfinished";
}

// Of the table of models; artifacts that were served stand in a table of their own.
Json table_heading(const Json& models, const Json& served, const std::string& baseline) {
  const Json* full = find_model(models, baseline);
  const Json* bytes = full == nullptr ? nullptr : find_number(*full, "weight_bytes");
  double smallest = 0;
  std::string name;
  for (const Json& model : models) {
    const Json* size = find_number(model, "weight_bytes");
    if (size == nullptr || find_served(served, text_at(model, "name"), "") != nullptr) continue;
    const double value = (*size)["value"].get<double>();
    if (name.empty() || value < smallest) {
      smallest = value;
      name = model["name"].get<std::string>();
    }
  }
  std::string finding =
      served.empty() ? "Every model side by side" : "The checkpoints side by side";
  if (bytes != nullptr && smallest > 0 && name != baseline) {
    finding = absl::StrFormat("%s is %.1f times smaller than %s", name,
                              (*bytes)["value"].get<double>() / smallest, baseline);
  }
  return {
      {"finding", finding},
      {"description",
       base::str_cat(served.empty() ? ""
                                    : "Checkpoints in frugal's own fp32 forward; what is served "
                                      "stands above. ",
                     "Values with 95% intervals where the number has one; the pale row is the "
                     "baseline. Hover a number for where it comes from; a dash is unknown, "
                     "never zero.")}};
}

}  // namespace

absl::StatusOr<Json> summarize(const JournalView& journal) {
  FRUGAL_RETURN_IF_ERROR(check_steps(journal));
  const Json& start = journal.run_start;
  const Json declared = object_at(start, "report");
  const std::string baseline = text_at(declared, "baseline");
  const Json claim = any_at(declared, "claim");
  const Json models = collect_models(journal, baseline);
  const Json comparisons = collect_comparisons(journal);
  const Json architectures = collect_architectures(journal, models);
  const Json served = collect_served(journal, models, baseline);
  const Json compared = energy_comparison_figure(journal);
  const std::string metric = text_at(claim, "metric");
  return Json{
      {"schema", 1},
      {"name", text_at(start, "name")},
      {"description", text_at(start, "description")},
      {"frugal", text_at(start, "frugal")},
      {"started", text_at(start, "time")},
      {"status", status_of_run(journal)},
      {"command", text_at(start, "command")},
      {"seed", any_at(start, "seed")},
      {"journal_sha256", journal.sha256},
      {"verdict", verdict(journal, models, comparisons, architectures, served, compared)},
      {"claim", claim},
      {"columns", collect_columns(models)},
      {"models", models},
      {"table", table_heading(models, served, baseline)},
      {"served", served},
      {"figures",
       {{"tradeoff", tradeoff_figure(models, served, metric)},
        {"served", served_figure(served, models, baseline)},
        {"energy_split", energy_split_figure(architectures, served)},
        {"architectures", architectures_figure(architectures)},
        {"comparisons", comparison_figure(journal, comparisons)},
        {"energy_comparison", compared},
        {"energy_boundary", energy_boundary_figure(journal)},
        {"steps", steps_figure(journal)},
        {"layer_error", layer_error_figure(journal)},
        {"training", training_figure(journal)},
        {"amortization", amortization_figure(journal, models, architectures, served, baseline)},
        {"derived", derived_figure(journal, architectures, served)},
        {"tco", tco_figure(journal, models, baseline)}}},
      {"provenance", provenance(journal)}};
}

}  // namespace frugal::report
