#include "energy/detect.h"

#include <cstdlib>
#include <iterator>

#include "energy/cpu_model_meter.h"
#include "energy/cuda_devices.h"
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
  if (!options.cpu && !options.dram) return out;
  const CpuIdentity cpu = read_cpu_identity(options.cpuinfo);
  const bool dies_share_counter = cpu.vendor == "AuthenticAMD" || cpu.name.starts_with("AMD");
  RaplMeters rapl = find_rapl_meters(options.powercap_root, dies_share_counter, clock);
  const bool cpu_measured = !rapl.packages.empty();
  if (options.cpu) move_into(std::move(rapl.packages), &out.meters);
  if (options.dram) move_into(std::move(rapl.dram), &out.meters);
  move_into(std::move(rapl.unavailable), &out.unavailable);
  if (options.cpu && !cpu_measured && options.cpu_model_when_unmeasured) {
    out.meters.push_back(make_cpu_model_meter(options.cpu_profile, cpu, clock));
  }
  return out;
}

}  // namespace frugal::energy
