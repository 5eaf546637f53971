// Tested by: tests/passes/recompute_test.cpp
#include "passes/measure/recompute_speed.h"

#include <cmath>

#include "energy/window.h"
#include "evaluate/items.h"
#include "passes/measure/summary.h"

namespace frugal::passes {
namespace {

using base::Json;
using base::json_get;
using base::str_cat;

absl::StatusOr<PhaseWindow> window_of(const Json& row, const Json& window,
                                      const std::string& where) {
  PhaseWindow out;
  FRUGAL_ASSIGN_OR_RETURN(out.runs, json_get<int64_t>(row, "runs", where));
  FRUGAL_ASSIGN_OR_RETURN(const double seconds, json_get<double>(row, "seconds", where));
  FRUGAL_ASSIGN_OR_RETURN(out.energy, energy::window_from_json(window, where));
  if (out.runs < 1 || !(seconds > 0))
    return base::data_loss(where, ": ", out.runs, " runs in ", seconds, " s, expected some");
  out.run_seconds = {seconds};  // their sum
  return out;
}

// The windows that the rows of the table are of: behind those of the idle device, ahead of those of
// a reference that took turns. Empty where they cannot be.
std::vector<Json> own_windows(const Json& tables, const std::vector<Json>& windows) {
  const size_t rows = tables.value("speed", Json::array()).size();
  const size_t models = tables.contains("energy_comparison") ? 2 : 1;
  if (rows == 0 || rows % 2 != 0 || windows.size() < models * rows) return {};
  const size_t idle = windows.size() - models * rows;
  if (idle > 2 || (idle > 0 && !tables.contains("idle"))) return {};  // before and after
  const auto begin = windows.begin() + static_cast<std::ptrdiff_t>(idle);
  return {begin, begin + static_cast<std::ptrdiff_t>(rows)};
}

// Rows and windows stand in one order: for each workload, each repeat, prefill and decode.
absl::StatusOr<std::vector<Speed>> speeds_of(const Json& rows, const std::vector<Json>& windows) {
  std::vector<Speed> speeds;
  for (size_t i = 0; i + 1 < rows.size(); i += 2) {
    const std::string where = str_cat("table speed, row ", i);
    Workload workload;
    FRUGAL_ASSIGN_OR_RETURN(workload.batch, json_get<int64_t>(rows[i], "batch", where));
    FRUGAL_ASSIGN_OR_RETURN(workload.prompt_tokens,
                            json_get<int64_t>(rows[i], "prompt_tokens", where));
    FRUGAL_ASSIGN_OR_RETURN(workload.generated_tokens,
                            json_get<int64_t>(rows[i], "generated_tokens", where));
    if (speeds.empty() || speeds.back().workload.batch != workload.batch)
      speeds.push_back({workload, {}});
    SpeedRepeat repeat;
    FRUGAL_ASSIGN_OR_RETURN(repeat.prefill, window_of(rows[i], windows[i], where));
    FRUGAL_ASSIGN_OR_RETURN(
        repeat.decode, window_of(rows[i + 1], windows[i + 1], str_cat("table speed, row ", i + 1)));
    speeds.back().repeats.push_back(std::move(repeat));
  }
  return speeds;
}

bool rests_on_single_runs(std::string_view name) {
  return name.starts_with("time_to_first_token") || name.starts_with("time_per_token") ||
         name.starts_with("latency");
}

bool same_number(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number()) return a == b;
  const double x = a.get<double>(), y = b.get<double>();
  return std::abs(x - y) <= 1e-9 * std::max({std::abs(x), std::abs(y), 1e-9});
}

absl::Status check_rows(const Json& recorded, const std::vector<Json>& again) {
  for (size_t i = 0; i < again.size(); ++i) {
    for (const auto& [key, value] : again[i].items()) {
      if (!same_number(recorded[i].value(key, Json()), value))
        return base::data_loss("table speed, row ", i, ": ", key, " is recorded as ",
                               recorded[i].value(key, Json()).dump(), ", its window gives ",
                               value.dump());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<pass::Recomputed> recompute_speed(uint64_t seed, const Json& step,
                                                 const std::filesystem::path& run_folder) {
  pass::Recomputed out;
  const Json tables = step.value("tables", Json::object());
  const Json rows = tables.value("speed", Json::array());
  const std::string variant = step.value("variant", "");
  const auto items = run_folder / "items" / step.value("id", "") / variant;
  const auto windows = evaluate::read_jsonl(items / "energy_windows.jsonl");
  const std::vector<Json> own = windows.ok() ? own_windows(tables, *windows) : std::vector<Json>();
  if (own.empty()) {
    out.not_computed.push_back(windows.ok()
                                   ? str_cat(rows.size(), " rows of speed and ", windows->size(),
                                             " windows do not belong together")
                                   : std::string(base::as_std(windows.status().message())));
    return out;
  }
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<Speed> speeds, speeds_of(rows, own));
  FRUGAL_RETURN_IF_ERROR(check_rows(rows, speed_rows(speeds)));
  for (const pass::Statistic& statistic :
       speed_statistics(speeds, base::RandomStream(seed, "measure/bootstrap"))) {
    if (rests_on_single_runs(statistic.name)) continue;
    Json again = pass::to_json(statistic);
    again.erase("help");  // names the runtime, which the summary does not know
    out.statistics.push_back(std::move(again));
  }
  return out;
}

}  // namespace frugal::passes
