#include "energy/detect.h"

#include <cstdlib>
#include <iterator>
#include <utility>

#include "energy/battery_meter.h"
#include "energy/cpu_conditions.h"
#include "energy/cpu_model_meter.h"
#include "energy/cuda_devices.h"
#include "energy/hwmon_meter.h"
#include "energy/nvml_meter.h"
#include "energy/rapl_meter.h"

namespace frugal::energy {
namespace {

template <typename T>
void move_into(std::vector<T>&& from, std::vector<T>* to) {
  to->insert(to->end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::optional<std::string> environment(const char* name) {
  const char* variable = std::getenv(name);
  return variable == nullptr ? std::nullopt : std::optional<std::string>(variable);
}

// Errors: the device in use cannot be told from the others.
absl::StatusOr<GpuChoice> choice_of(const DetectOptions& options) {
  GpuChoice choice{.list = options.gpus, .bus_order = true, .cuda_library = options.cuda_library};
  if (options.cuda_index) {
    FRUGAL_ASSIGN_OR_RETURN(const auto uuids, cuda_uuids(options.cuda_library));
    const auto index = static_cast<size_t>(*options.cuda_index);
    if (index >= uuids.size()) {
      return base::failed("CUDA shows ", uuids.size(), " devices, none has the number ", index);
    }
    choice.list = uuids[index];
    return choice;
  }
  if (options.gpus) return choice;
  choice.list = environment("CUDA_VISIBLE_DEVICES");
  choice.bus_order = environment("CUDA_DEVICE_ORDER") == "PCI_BUS_ID";
  return choice;
}

using Meters = std::vector<std::unique_ptr<Meter>>;

// Meters of the CPU tell its clock and temperature beside its energy.
void move_cpu_meters(Meters&& from, const DetectOptions& options, Meters* to) {
  for (auto& meter : from)
    to->push_back(with_cpu_conditions(std::move(meter), options.cpu_root, options.hwmon_root));
}

// A meter whose part in the sums is decided here, where all others are known.
class Placed : public Meter {
 public:
  Placed(std::unique_ptr<Meter> meter, bool in_total)
      : meter_(std::move(meter)), info_(meter_->info()) {
    info_.in_total = in_total;
  }
  const MeterInfo& info() const override { return info_; }
  absl::StatusOr<Reading> read() override { return meter_->read(); }
  base::Json conditions() override { return meter_->conditions(); }
  std::optional<double> watts() override { return meter_->watts(); }

 private:
  std::unique_ptr<Meter> meter_;
  MeterInfo info_;
};

// Meters of the whole machine: the first one counts where nothing counts the CPU, and then the
// GPUs are a part of it (psys ends at the processor's platform: boards beside it are not in it).
void add_machines(Meters machines, bool cpu_is_counted, Detected* out) {
  bool needed = !cpu_is_counted;
  for (auto& machine : machines) {
    const bool covers_boards = needed && machine->info().name != "platform";
    for (auto& meter : out->meters) {
      if (covers_boards && meter->info().domain != Domain::kMachine)
        meter = std::make_unique<Placed>(std::move(meter), false);
    }
    out->meters.push_back(std::make_unique<Placed>(std::move(machine), needed));
    needed = false;
  }
}

void add_others(const DetectOptions& options, const Clock& clock, Detected* out) {
  const CpuIdentity cpu = read_cpu_identity(options.cpuinfo);
  HwmonMeters hwmon = find_hwmon_meters(options.hwmon_root, clock);
  if (options.gpu) move_into(std::move(hwmon.gpus), &out->meters);
  if (options.cpu || options.dram || options.gpu)
    move_into(std::move(hwmon.unavailable), &out->unavailable);
  if (!options.cpu && !options.dram) return;
  const bool dies_share_counter = cpu.vendor == "AuthenticAMD" || cpu.name.starts_with("AMD");
  RaplMeters rapl = find_rapl_meters(options.powercap_root, dies_share_counter, clock);
  if (options.dram) move_into(std::move(rapl.dram), &out->meters);
  move_into(std::move(rapl.unavailable), &out->unavailable);
  if (!options.cpu) return;
  bool counted = !rapl.packages.empty();
  move_cpu_meters(std::move(rapl.packages), options, &out->meters);
  move_into(std::move(rapl.parts), &out->meters);
  if (!counted) {  // the same counters by another driver
    counted = !hwmon.sockets.empty();
    move_cpu_meters(std::move(hwmon.sockets), options, &out->meters);
  }
  Meters machines = std::move(rapl.platform);
  move_into(std::move(hwmon.machines), &machines);
  BatteryMeters batteries = find_battery_meters(options.power_supply_root, clock);
  move_into(std::move(batteries.machines), &machines);
  move_into(std::move(batteries.unavailable), &out->unavailable);
  const bool any_machine = !machines.empty();
  add_machines(std::move(machines), counted, out);
  if (counted || any_machine || !options.cpu_model_when_unmeasured) return;
  Meters model;
  model.push_back(make_cpu_model_meter(options.cpu_profile, cpu, clock));
  move_cpu_meters(std::move(model), options, &out->meters);
}

}  // namespace

Detected detect_meters(const DetectOptions& options) {
  const Clock& clock = options.clock == nullptr ? system_clock() : *options.clock;
  Detected out;
  if (options.gpu) {
    const auto choice = choice_of(options);
    NvmlMeters nvml;
    if (choice.ok()) {
      nvml = find_nvml_meters(options.nvml_library, *choice, clock);
    } else {
      nvml.unavailable.push_back({"nvml", std::string(choice.status().message())});
    }
    move_into(std::move(nvml.gpus), &out.meters);
    move_into(std::move(nvml.unavailable), &out.unavailable);
  }
  add_others(options, clock, &out);
  return out;
}

}  // namespace frugal::energy
