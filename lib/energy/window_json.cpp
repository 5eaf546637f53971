#include <algorithm>
#include <cmath>

#include "energy/window.h"

namespace frugal::energy {
namespace {

using base::Json;
using base::json_get;
using base::str_cat;

Json to_json(const std::optional<Reading>& reading) {
  if (!reading) return nullptr;
  return {{"raw", reading->raw}, {"seconds", reading->seconds}};
}

Json to_json(const MeterWindow& window) {
  Json samples = Json::array();
  for (const Sample& sample : window.samples) samples.push_back({sample.seconds, sample.joules});
  return {{"meter", energy::to_json(window.info)},
          {"begin", to_json(window.begin)},
          {"end", to_json(window.end)},
          {"wraps", window.wraps},
          {"joules", json_or_null(window.joules)},
          {"reason", window.reason},
          {"seconds", window.seconds},
          {"mean_watts", json_or_null(window.mean_watts)},
          {"peak_watts", json_or_null(window.peak_watts)},
          {"updates", json_or_null(window.updates)},
          {"idle_watts", json_or_null(window.idle_watts)},
          {"net_joules", json_or_null(window.net_joules)},
          {"samples", std::move(samples)},
          {"conditions_begin", window.conditions_begin},
          {"conditions_end", window.conditions_end},
          {"warnings", window.warnings},
          {"marks", window.marks},
          {"gaps", window.gaps},
          {"gap_seconds", window.gap_seconds},
          {"integrated_joules", json_or_null(window.integrated_joules)}};
}

absl::StatusOr<std::optional<double>> optional_number(const Json& json, std::string_view key,
                                                      std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const Json value, json_get<Json>(json, key, where));
  if (value.is_null()) return std::optional<double>();
  FRUGAL_ASSIGN_OR_RETURN(const double number, json_get<double>(json, key, where));
  return std::optional<double>(number);
}

absl::StatusOr<std::optional<Reading>> optional_reading(const Json& json, std::string_view key,
                                                        std::string_view where) {
  FRUGAL_ASSIGN_OR_RETURN(const Json value, json_get<Json>(json, key, where));
  if (value.is_null()) return std::optional<Reading>();
  FRUGAL_ASSIGN_OR_RETURN(const Json raw, json_get<Json>(value, "raw", where));
  if (!raw.is_number_unsigned())
    return base::data_loss(where, ": 'raw' of '", key, "' is not a count");
  FRUGAL_ASSIGN_OR_RETURN(const double seconds, json_get<double>(value, "seconds", where));
  return std::optional<Reading>(Reading{raw.get<uint64_t>(), seconds});
}

// Records of earlier versions have none of these.
absl::Status read_marks(const Json& json, std::string_view where, MeterWindow* window) {
  if (!json.contains("marks")) return absl::OkStatus();
  if (!json["marks"].is_array()) return base::data_loss(where, ": 'marks' must be a list");
  for (const Json& mark : json["marks"]) {
    if (!mark.is_string()) return base::data_loss(where, ": a mark must be a string");
    window->marks.push_back(mark.get<std::string>());
  }
  FRUGAL_ASSIGN_OR_RETURN(window->gaps, json_get<int64_t>(json, "gaps", where));
  FRUGAL_ASSIGN_OR_RETURN(window->gap_seconds, json_get<double>(json, "gap_seconds", where));
  FRUGAL_ASSIGN_OR_RETURN(window->integrated_joules,
                          optional_number(json, "integrated_joules", where));
  return absl::OkStatus();
}

absl::Status read_lists(const Json& json, std::string_view where, MeterWindow* window) {
  FRUGAL_ASSIGN_OR_RETURN(const Json samples, json_get<Json>(json, "samples", where));
  if (!samples.is_array()) return base::data_loss(where, ": 'samples' must be a list");
  for (const Json& sample : samples) {
    if (!sample.is_array() || sample.size() != 2 || !sample[0].is_number() ||
        !sample[1].is_number()) {
      return base::data_loss(where, ": a sample must be a pair of seconds and joules");
    }
    window->samples.push_back({sample[0].get<double>(), sample[1].get<double>()});
  }
  FRUGAL_ASSIGN_OR_RETURN(const Json warnings, json_get<Json>(json, "warnings", where));
  if (!warnings.is_array()) return base::data_loss(where, ": 'warnings' must be a list");
  for (const Json& warning : warnings) {
    if (!warning.is_string()) return base::data_loss(where, ": a warning must be a string");
    window->warnings.push_back(warning.get<std::string>());
  }
  FRUGAL_RETURN_IF_ERROR(read_marks(json, where, window));
  FRUGAL_ASSIGN_OR_RETURN(window->conditions_begin,
                          json_get<Json>(json, "conditions_begin", where));
  FRUGAL_ASSIGN_OR_RETURN(window->conditions_end, json_get<Json>(json, "conditions_end", where));
  return absl::OkStatus();
}

absl::StatusOr<MeterWindow> meter_window_from_json(const Json& json, std::string_view where) {
  MeterWindow window;
  FRUGAL_ASSIGN_OR_RETURN(const Json meter, json_get<Json>(json, "meter", where));
  FRUGAL_ASSIGN_OR_RETURN(window.info, meter_info_from_json(meter, where));
  const std::string at = str_cat(where, ": ", window.info.name);
  FRUGAL_ASSIGN_OR_RETURN(window.begin, optional_reading(json, "begin", at));
  FRUGAL_ASSIGN_OR_RETURN(window.end, optional_reading(json, "end", at));
  FRUGAL_ASSIGN_OR_RETURN(window.wraps, json_get<int64_t>(json, "wraps", at));
  FRUGAL_ASSIGN_OR_RETURN(window.joules, optional_number(json, "joules", at));
  FRUGAL_ASSIGN_OR_RETURN(window.reason, json_get<std::string>(json, "reason", at));
  FRUGAL_ASSIGN_OR_RETURN(window.seconds, json_get<double>(json, "seconds", at));
  FRUGAL_ASSIGN_OR_RETURN(window.mean_watts, optional_number(json, "mean_watts", at));
  FRUGAL_ASSIGN_OR_RETURN(window.peak_watts, optional_number(json, "peak_watts", at));
  FRUGAL_ASSIGN_OR_RETURN(window.updates, optional_number(json, "updates", at));
  FRUGAL_ASSIGN_OR_RETURN(window.idle_watts, optional_number(json, "idle_watts", at));
  FRUGAL_ASSIGN_OR_RETURN(window.net_joules, optional_number(json, "net_joules", at));
  FRUGAL_RETURN_IF_ERROR(read_lists(json, at, &window));
  return window;
}

// Equal up to rounding of the last operations; both unknown is equal.
bool same(const std::optional<double>& a, const std::optional<double>& b) {
  if (a.has_value() != b.has_value()) return false;
  return !a || std::abs(*a - *b) <= 1e-9 * std::max({std::abs(*a), std::abs(*b), 1e-9});
}

absl::Status verify_meter(const MeterWindow& window, const std::string& where) {
  const auto check = [&](std::string_view what, const std::optional<double>& stored,
                         const std::optional<double>& computed) {
    if (same(stored, computed)) return absl::OkStatus();
    const auto text = [](const std::optional<double>& value) {
      return value ? str_cat(*value) : "unknown";
    };
    return base::data_loss(where, ": ", what, " is recorded as ", text(stored),
                           ", its raw readings give ", text(computed));
  };
  if (!window.joules && window.reason.empty()) {
    return base::data_loss(where, ": joules are unknown without a reason");
  }
  if (window.joules && !window.reason.empty()) {
    return base::data_loss(where, ": joules are recorded in spite of: ", window.reason);
  }
  if (window.begin && window.end) {
    FRUGAL_RETURN_IF_ERROR(
        check("seconds", window.seconds, window.end->seconds - window.begin->seconds));
  }
  std::optional<double> joules, mean_watts, net_joules;
  if (window.joules) joules = joules_between(window);
  FRUGAL_RETURN_IF_ERROR(check("joules", window.joules, joules));
  if (joules && window.seconds > 0) mean_watts = *joules / window.seconds;
  FRUGAL_RETURN_IF_ERROR(check("mean_watts", window.mean_watts, mean_watts));
  if (!window.net_joules) return absl::OkStatus();
  if (!window.info.whole_device) net_joules = joules;
  if (window.info.whole_device && joules && window.idle_watts) {
    net_joules = *joules - *window.idle_watts * window.seconds;
  }
  return check("net_joules", window.net_joules, net_joules);
}

}  // namespace

Json to_json(const WindowResult& result) {
  Json meters = Json::array();
  for (const MeterWindow& window : result.meters) meters.push_back(to_json(window));
  return {{"name", result.name},
          {"begin_time", result.begin_time},
          {"end_time", result.end_time},
          {"seconds", result.seconds},
          {"meters", std::move(meters)},
          {"total_joules", to_json(result.total_joules())},
          {"total_net_joules", to_json(result.total_net_joules())}};
}

// The totals are not read: they follow from the meters.
absl::StatusOr<WindowResult> window_from_json(const Json& json, std::string_view where) {
  WindowResult result;
  FRUGAL_ASSIGN_OR_RETURN(result.name, json_get<std::string>(json, "name", where));
  FRUGAL_ASSIGN_OR_RETURN(result.begin_time, json_get<std::string>(json, "begin_time", where));
  FRUGAL_ASSIGN_OR_RETURN(result.end_time, json_get<std::string>(json, "end_time", where));
  FRUGAL_ASSIGN_OR_RETURN(result.seconds, json_get<double>(json, "seconds", where));
  FRUGAL_ASSIGN_OR_RETURN(const Json meters, json_get<Json>(json, "meters", where));
  if (!meters.is_array()) return base::data_loss(where, ": 'meters' must be a list");
  for (const Json& meter : meters) {
    FRUGAL_ASSIGN_OR_RETURN(MeterWindow window, meter_window_from_json(meter, where));
    result.meters.push_back(std::move(window));
  }
  return result;
}

absl::Status verify_window(const WindowResult& result, std::string_view where) {
  for (const MeterWindow& window : result.meters) {
    FRUGAL_RETURN_IF_ERROR(
        verify_meter(window, str_cat(where, ": window '", result.name, "', ", window.info.name)));
  }
  return absl::OkStatus();
}

}  // namespace frugal::energy
