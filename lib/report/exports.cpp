#include "report/exports.h"

#include <algorithm>

#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "energy/quantity.h"
#include "energy/window.h"
#include "report/access.h"
#include "report/esrs.h"
#include "report/models.h"

namespace frugal::report {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str_cat;

double in_kilowatt_hours(double joules) {
  return energy::joules(joules).in(energy::kilowatt_hours(1));
}

// The energy of a step that was measured or modelled; absent where any part is unknown.
std::optional<energy::WindowResult> window_of(const Json& step) {
  const Json recorded = any_at(step, "energy");
  if (recorded.is_null()) return std::nullopt;
  auto window = energy::window_from_json(recorded, step_name(step));
  if (!window.ok() || !window->total_joules().value) return std::nullopt;
  return *std::move(window);
}

// "2026-01-01T00:00:00Z" -> "2026-01-01 00:00:00"
std::string date_and_time(std::string text) {
  if (text.ends_with('Z')) text.pop_back();
  std::replace(text.begin(), text.end(), 'T', ' ');
  return text;
}

// The same run and step have the same identifier: a UUID of version 8 (RFC 9562), of their hash.
std::string report_id(const JournalView& journal, const std::string& step) {
  std::string digits = base::sha256(str_cat(journal.sha256, " ", step)).substr(0, 32);
  digits[12] = '8';
  digits[16] = 'a';
  for (const size_t dash : {20, 16, 12, 8}) digits.insert(dash, "-");
  return digits;
}

std::string stage_of(const std::string& pass) {
  if (pass == "train" || pass == "distill") return "training";
  if (pass == "finetune") return "finetuning";
  if (pass == "evaluate" || pass == "measure") return "inference";
  return str_cat("compression: ", pass);
}

// BoAmps' three grades of error: up to 10%, up to 25%, more. Gaps and short windows are never the
// best, and an assumption is the worst.
std::string quality_of(const energy::Figure& joules) {
  if (joules.provenance == energy::Provenance::kAssumed) return "low";
  double error = 0;
  if (joules.range) {
    error = std::max(joules.range->high / *joules.value - 1, 1 - joules.range->low / *joules.value);
  }
  if (error > 0.25) return "low";
  return error > 0.1 || !joules.marks.empty() ? "medium" : "high";
}

std::string tracking_mode(const energy::MeterInfo& meter) {
  if (meter.provenance != energy::Provenance::kMeasured) return "CPU time × watts per thread";
  if (meter.domain == energy::Domain::kGpu)
    return meter.name.starts_with("gpu-amd") ? "hwmon" : "nvml";
  return meter.name.starts_with("cpu-package") ? "rapl" : "hwmon";
}

Json measure_of(const energy::MeterWindow& meter, const energy::WindowResult& window,
                const std::string& version) {
  Json out = {{"measurementMethod", str_cat("frugal: ", meter.info.method)},
              {"version", version},
              {"powerConsumption", in_kilowatt_hours(*meter.joules)},
              {"measurementDuration", meter.seconds},
              {"measurementDateTime", date_and_time(window.begin_time)}};
  if (meter.info.domain == energy::Domain::kCpu) out["cpuTrackingMode"] = tracking_mode(meter.info);
  if (meter.info.domain == energy::Domain::kGpu) out["gpuTrackingMode"] = tracking_mode(meter.info);
  return out;
}

Json measures_of(const energy::WindowResult& window, const std::string& version) {
  Json out = Json::array();
  for (const energy::MeterWindow& meter : window.meters) {
    if (meter.info.in_total && meter.joules) out.push_back(measure_of(meter, window, version));
  }
  return out;
}

Json algorithm_of(const Json& step, const std::string& version) {
  Json out = {{"algorithmType", "llm"},
              {"framework", "frugal"},
              {"frameworkVersion", version},
              {"algorithmName", step_name(step)}};
  const Json parameters = any_at(object_at(step, "output"), "parameters");
  if (parameters.is_number()) out["parametersNumber"] = parameters.get<double>() / 1e9;
  if (const std::string grid = text_at(object_at(step, "options"), "grid"); !grid.empty())
    out["quantization"] = grid;
  return out;
}

Json infrastructure_of(const JournalView& journal) {
  const Json machine = object_at(journal.run_start, "machine");
  Json components = Json::array();
  const std::string cpu = text_at(machine, "cpu");
  components.push_back({{"componentName", cpu.empty() ? "CPU of unknown name" : cpu},
                        {"componentType", "cpu"},
                        {"nbComponent", std::max<int64_t>(1, integer_at(machine, "cores"))}});
  for (const Json& meter : list_at(journal.run_start, "meters")) {
    if (text_at(meter, "domain") != "gpu") continue;
    components.push_back(
        {{"componentName", text_at(meter, "scope")}, {"componentType", "gpu"}, {"nbComponent", 1}});
  }
  return {{"infraType", "other"}, {"components", components}};
}

Json boamps_of(const JournalView& journal, const Json& step, const energy::WindowResult& window) {
  const std::string version = text_at(journal.run_start, "frugal"), name = step_name(step);
  Json out = {
      {"header",
       {{"licensing", "unspecified"},
        {"formatVersionSpecificationUri", "https://github.com/Boavizta/BoAmps/tree/main/model"},
        {"reportId", report_id(journal, name)},
        {"reportDatetime", date_and_time(text_at(journal.run_start, "time"))},
        {"reportStatus", "draft"}}},
      {"task",
       {{"taskStage", stage_of(text_at(step, "pass"))},
        {"taskFamily", "text generation"},
        {"algorithms", Json::array({algorithm_of(step, version)})},
        {"dataset", Json::array({Json{{"dataUsage", "input"}, {"dataType", "text"}}})},
        {"taskDescription", str_cat("step ", name, " of ", text_at(journal.run_start, "name"))}}},
      {"measures", measures_of(window, version)},
      {"system", {{"os", text_at(object_at(journal.run_start, "machine"), "os", "unknown")}}},
      {"software", {{"language", "c++"}, {"version", "20"}}},
      {"infrastructure", infrastructure_of(journal)},
      {"quality", quality_of(window.total_joules())}};
  const Json site = object_at(journal.run_start, "site");
  if (!text_at(site, "region").empty()) {
    out["environment"] = {
        {"country", text_at(site, "region")},
        {"location", text_at(site, "name")},
        {"powerSourceCarbonIntensity", any_at(object_at(site, "intensity"), "grams_per_kwh")}};
  }
  return out;
}

}  // namespace

std::map<std::string, Json> boamps_reports(const JournalView& journal) {
  std::map<std::string, Json> out;
  for (const Json& step : journal.steps) {
    if (const auto window = window_of(step))
      out[step_name(step)] = boamps_of(journal, step, *window);
  }
  return out;
}

Json impact_framework_manifest(const JournalView& journal) {
  const Json site = object_at(journal.run_start, "site");
  const Json intensity = any_at(object_at(site, "intensity"), "grams_per_kwh");
  const Json pue = any_at(object_at(site, "pue"), "value");
  if (!intensity.is_number() || !pue.is_number()) return nullptr;
  Json children = Json::object();
  for (const Json& step : journal.steps) {
    const auto window = window_of(step);
    if (!window) continue;
    children[step_name(step)] = {
        {"pipeline", {{"compute", Json::array({"operational-carbon"})}}},
        {"inputs", Json::array({Json{{"timestamp", window->begin_time},
                                     {"duration", window->seconds},
                                     {"energy", in_kilowatt_hours(*window->total_joules().value)},
                                     {"grid/carbon-intensity", intensity},
                                     {"power-usage-effectiveness", pue}}})}};
  }
  return {{"name", text_at(journal.run_start, "name")},
          {"description", str_cat("Energy of a run of frugal, in kWh for each step, at ",
                                  text_at(site, "name"), "; carbon in gCO2eq, location-based")},
          {"tags", nullptr},
          {"initialize",
           {{"plugins",
             {{"operational-carbon",
               {{"method", "Multiply"},
                {"path", "builtin"},
                {"config",
                 {{"input-parameters",
                   {"energy", "grid/carbon-intensity", "power-usage-effectiveness"}},
                  {"output-parameter", "carbon-operational"}}}}}}}}},
          {"tree", {{"children", children}}}};
}

Exports exports_of(const JournalView& journal) {
  const auto text = [](const Json& json) {
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  };
  Exports out;
  const auto reports = boamps_reports(journal);
  for (const auto& [step, report] : reports)
    out.files.push_back({str_cat("boamps/", step, ".json"), text(report)});
  for (const Json& step : journal.steps) {
    if (!reports.contains(step_name(step)))
      out.left_out.push_back(str_cat(step_name(step), ": its energy is unknown"));
  }
  const Json manifest = impact_framework_manifest(journal);
  if (manifest.is_null()) {
    out.left_out.emplace_back(
        "the manifest for the Impact Framework: the run has no `report: site:`, so no grid");
  } else {
    out.files.push_back({"impact-framework.yaml", text(manifest)});
  }
  const Json esrs = esrs_table(journal);
  out.files.push_back({"esrs-e1.json", text(esrs)});
  out.files.push_back({"esrs-e1.csv", esrs_csv(esrs)});
  int64_t blank = 0;
  for (const Json& row : esrs["rows"]) blank += text_at(row, "reason").empty() ? 0 : 1;
  if (blank > 0) {
    out.left_out.push_back(str_cat(blank, " of ", esrs["rows"].size(),
                                   " datapoints of ESRS E1: blank, each with its reason"));
  }
  return out;
}

absl::StatusOr<Exported> write_exports(const fs::path& run_folder) {
  FRUGAL_ASSIGN_OR_RETURN(const JournalView journal, read_journal(run_folder / "journal.jsonl"));
  Exports exports = exports_of(journal);
  Exported out{{}, std::move(exports.left_out)};
  for (const Drawing& file : exports.files) {
    FRUGAL_ASSIGN_OR_RETURN(const fs::path path, base::resolve_inside(run_folder, file.path));
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) return base::system_error("create", path.parent_path().string(), error.value());
    FRUGAL_RETURN_IF_ERROR(base::write_file_atomically(path, file.text));
    out.files.push_back(path.string());
  }
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Drawing> drawn, draw(journal));
  drawn.insert(drawn.end(), std::make_move_iterator(exports.files.begin()),
               std::make_move_iterator(exports.files.end()));
  FRUGAL_RETURN_IF_ERROR(write_checksums(run_folder, journal, drawn));
  return out;
}

}  // namespace frugal::report
