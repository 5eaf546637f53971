#include "energy/rapl_meter.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/text.h"
#include "energy/sysfs.h"

namespace frugal::energy {
namespace fs = std::filesystem;
namespace {

class RaplMeter : public Meter {
 public:
  RaplMeter(MeterInfo info, fs::path counter, const Clock& clock)
      : info_(std::move(info)), counter_(std::move(counter)), clock_(clock) {}
  const MeterInfo& info() const override { return info_; }
  absl::StatusOr<Reading> read() override {
    FRUGAL_ASSIGN_OR_RETURN(const uint64_t raw, read_count(counter_));
    if (raw > *info_.wrap_units) {
      return base::data_loss("'", counter_.string(), "' holds ", raw, ", above its range of ",
                             *info_.wrap_units);
    }
    return Reading{raw, clock_.seconds()};
  }
  // The long-term limit of the zone.
  base::Json conditions() override {
    base::Json out = base::Json::object();
    const auto limit = read_count(counter_.parent_path() / "constraint_0_power_limit_uw");
    if (limit.ok()) out["power_limit_watts"] = static_cast<double>(*limit) * 1e-6;
    return out;
  }

 private:
  MeterInfo info_;
  fs::path counter_;
  const Clock& clock_;
};

struct Zone {
  std::string id;      // "intel-rapl:0:1"
  std::string name;    // "package-0", "dram", "core", "uncore", "psys"
  std::string parent;  // name of the package it lies in; empty for a package
  fs::path folder;
  bool is_mmio = false;
};

// Zones lie flat in the class folder and nested in the device's; both are walked, each identifier
// counts once.
void collect_zones(const fs::path& folder, const std::string& parent,
                   std::map<std::string, Zone>* zones) {
  for (const fs::path& path : entries_of(folder)) {
    const std::string id = path.filename().string();
    if (!id.starts_with("intel-rapl") || id.find(':') == std::string::npos) continue;
    const auto name = read_line(path / "name");
    if (!name.ok()) continue;
    const bool is_package = std::count(id.begin(), id.end(), ':') == 1;
    if (!is_package && parent.empty()) continue;  // met again inside its package
    zones->try_emplace(id, Zone{id, *name, parent, path, id.starts_with("intel-rapl-mmio")});
    if (is_package) collect_zones(path, *name, zones);
  }
}

// A tree without nesting: "intel-rapl:0:1" belongs to "intel-rapl:0".
void collect_flat_subzones(const fs::path& root, std::map<std::string, Zone>* zones) {
  for (const fs::path& path : entries_of(root)) {
    const std::string id = path.filename().string();
    if (std::count(id.begin(), id.end(), ':') != 2 || zones->contains(id)) continue;
    const auto package = zones->find(id.substr(0, id.rfind(':')));
    const auto name = read_line(path / "name");
    if (package == zones->end() || !name.ok()) continue;
    zones->try_emplace(id, Zone{id, *name, package->second.name, path, package->second.is_mmio});
  }
}

struct Kind {
  std::string name, scope;
  Domain domain;
  bool is_part = false;  // of its package
};

std::string number_of_package(const std::string& name) {
  return name.substr(std::min(name.size(), std::string("package-").size()));
}

// Nothing for zones whose name is not known.
std::optional<Kind> kind_of(const Zone& zone) {
  if (zone.parent.empty() && zone.name == "psys")
    return Kind{"platform", "platform (RAPL psys)", Domain::kMachine};
  if (zone.parent.starts_with("package") && (zone.name == "core" || zone.name == "uncore")) {
    const std::string number = number_of_package(zone.parent);
    return Kind{base::str_cat("cpu-", zone.name, "-", number),
                base::str_cat(zone.name == "core" ? "cores" : "uncore (integrated GPU)",
                              " of CPU package ", number),
                Domain::kCpu, true};
  }
  if (zone.parent.empty() && zone.name.starts_with("package")) {
    const std::string number = number_of_package(zone.name);
    return Kind{base::str_cat("cpu-package-", number), base::str_cat("CPU package ", number),
                Domain::kCpu};
  }
  if (zone.name == "dram" && zone.parent.starts_with("package")) {
    const std::string number = number_of_package(zone.parent);
    return Kind{base::str_cat("dram-", number), base::str_cat("memory of CPU package ", number),
                Domain::kMemory};
  }
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<Meter>> make_meter(const Zone& zone, const Kind& kind,
                                                  const Clock& clock) {
  FRUGAL_ASSIGN_OR_RETURN(const uint64_t range, read_count(zone.folder / "max_energy_range_uj"));
  if (range == 0)
    return base::data_loss("'", (zone.folder / "max_energy_range_uj").string(), "' is 0");
  MeterInfo info;
  info.name = kind.name;
  info.scope = kind.scope;
  info.domain = kind.domain;
  info.method = base::str_cat("RAPL counter ", zone.id, " (", zone.name, ") of Linux powercap");
  info.unit = "uJ";
  info.joules_per_unit = 1e-6;
  info.wrap_units = range;
  info.in_total = kind.domain != Domain::kMachine && !kind.is_part;
  info.update_seconds = 1e-3;  // Intel SDM, RAPL: updated about every millisecond
  auto meter = std::make_unique<RaplMeter>(std::move(info), zone.folder / "energy_uj", clock);
  const auto first = meter->read();
  if (!first.ok()) return with_remedy(first.status(), zone.folder / "energy_uj");
  return meter;
}

std::vector<std::unique_ptr<Meter>>* place_of(const Kind& kind, RaplMeters* found) {
  if (kind.domain == Domain::kMachine) return &found->platform;
  if (kind.is_part) return &found->parts;
  return kind.domain == Domain::kMemory ? &found->dram : &found->packages;
}

}  // namespace

RaplMeters find_rapl_meters(const fs::path& root, bool dies_share_counter, const Clock& clock) {
  RaplMeters out;
  std::map<std::string, Zone> zones;
  collect_zones(root, "", &zones);
  collect_flat_subzones(root, &zones);
  std::vector<Zone> ordered;
  for (const auto& [id, zone] : zones) ordered.push_back(zone);
  // MSR before MMIO: the second only stands in where the first cannot be read.
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const Zone& a, const Zone& b) { return a.is_mmio < b.is_mmio; });
  std::set<std::string> taken;
  std::map<std::string, Unavailable> missing;
  for (const Zone& zone : ordered) {
    const std::optional<Kind> kind = kind_of(zone);
    if (!kind) continue;
    const std::string counted =
        dies_share_counter ? kind->name.substr(0, kind->name.find("-die-")) : kind->name;
    if (taken.contains(counted)) continue;
    auto meter = make_meter(zone, *kind, clock);
    if (!meter.ok()) {
      if (kind->is_part) continue;  // its package says why
      missing.try_emplace(counted, Unavailable{counted, std::string(meter.status().message())});
      continue;
    }
    taken.insert(counted);
    missing.erase(counted);
    place_of(*kind, &out)->push_back(*std::move(meter));
  }
  for (auto& [name, absent] : missing) out.unavailable.push_back(std::move(absent));
  if (taken.empty() && out.unavailable.empty()) {
    out.unavailable.push_back(
        {"rapl",
         base::str_cat("no RAPL zone below '", root.string(),
                       "': a virtual machine, or the module intel_rapl_msr is not loaded")});
  }
  return out;
}

}  // namespace frugal::energy
