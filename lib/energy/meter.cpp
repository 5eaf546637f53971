#include "energy/meter.h"

#include <chrono>
#include <ctime>
#include <thread>

namespace frugal::energy {
namespace {

using base::Json;

class SystemClock : public Clock {
 public:
  double seconds() const override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
  }
  void sleep(double seconds) const override {
    if (seconds > 0) std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  }
  std::string utc_time() const override {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
  }
};

const char* to_text(Domain domain) {
  switch (domain) {
    case Domain::kGpu:
      return "gpu";
    case Domain::kCpu:
      return "cpu";
    case Domain::kMemory:
      return "memory";
    case Domain::kMachine:
      return "machine";
  }
  return "machine";
}

absl::StatusOr<Domain> parse_domain(std::string_view text, std::string_view where) {
  for (const Domain domain : {Domain::kGpu, Domain::kCpu, Domain::kMemory, Domain::kMachine}) {
    if (to_text(domain) == text) return domain;
  }
  return base::invalid_argument(where, ": domain '", text,
                                "': expected gpu, cpu, memory or machine");
}

}  // namespace

const Clock& system_clock() {
  static const SystemClock kClock;
  return kClock;
}

Json to_json(const MeterInfo& info) {
  return {{"name", info.name},
          {"scope", info.scope},
          {"domain", to_text(info.domain)},
          {"provenance", std::string(to_text(info.provenance))},
          {"method", info.method},
          {"unit", info.unit},
          {"joules_per_unit", info.joules_per_unit},
          {"joules_per_unit_range", to_json(info.joules_per_unit_range)},
          {"wrap_units", info.wrap_units ? Json(*info.wrap_units) : Json(nullptr)},
          {"update_seconds", json_or_null(info.update_seconds)},
          {"sample_seconds", json_or_null(info.sample_seconds)},
          {"in_total", info.in_total},
          {"whole_device", info.whole_device}};
}

absl::StatusOr<MeterInfo> meter_info_from_json(const Json& json, std::string_view where) {
  MeterInfo info;
  FRUGAL_ASSIGN_OR_RETURN(info.name, base::json_get<std::string>(json, "name", where));
  FRUGAL_ASSIGN_OR_RETURN(info.scope, base::json_get<std::string>(json, "scope", where));
  FRUGAL_ASSIGN_OR_RETURN(const std::string domain,
                          base::json_get<std::string>(json, "domain", where));
  FRUGAL_ASSIGN_OR_RETURN(info.domain, parse_domain(domain, where));
  FRUGAL_ASSIGN_OR_RETURN(const std::string provenance,
                          base::json_get<std::string>(json, "provenance", where));
  FRUGAL_ASSIGN_OR_RETURN(info.provenance, parse_provenance(provenance));
  FRUGAL_ASSIGN_OR_RETURN(info.method, base::json_get<std::string>(json, "method", where));
  FRUGAL_ASSIGN_OR_RETURN(info.unit, base::json_get<std::string>(json, "unit", where));
  FRUGAL_ASSIGN_OR_RETURN(info.joules_per_unit,
                          base::json_get<double>(json, "joules_per_unit", where));
  FRUGAL_ASSIGN_OR_RETURN(info.joules_per_unit_range,
                          range_from_json(json, "joules_per_unit_range", where));
  FRUGAL_ASSIGN_OR_RETURN(const Json wrap, base::json_get<Json>(json, "wrap_units", where));
  if (wrap.is_number_unsigned()) info.wrap_units = wrap.get<uint64_t>();
  FRUGAL_ASSIGN_OR_RETURN(const Json update, base::json_get<Json>(json, "update_seconds", where));
  if (update.is_number()) info.update_seconds = update.get<double>();
  // Records of earlier versions lack these two.
  if (const auto found = json.find("sample_seconds"); found != json.end() && found->is_number())
    info.sample_seconds = found->get<double>();
  if (json.contains("in_total")) {
    FRUGAL_ASSIGN_OR_RETURN(info.in_total, base::json_get<bool>(json, "in_total", where));
  }
  FRUGAL_ASSIGN_OR_RETURN(info.whole_device, base::json_get<bool>(json, "whole_device", where));
  return info;
}

Json to_json(const std::vector<MeterInfo>& meters, const std::vector<Unavailable>& unavailable) {
  Json out = Json::array();
  for (const MeterInfo& meter : meters) out.push_back(to_json(meter));
  for (const Unavailable& absent : unavailable) {
    out.push_back({{"name", absent.name}, {"unavailable", absent.reason}});
  }
  return out;
}

}  // namespace frugal::energy
