#include "energy/detect.h"

#include <cstdlib>
#include <iterator>

#include "base/process.h"
#include "energy/cpu_model_meter.h"
#include "energy/nvml_meter.h"
#include "energy/rapl_meter.h"

namespace frugal::energy {
namespace {

template <typename T>
void move_into(std::vector<T>&& from, std::vector<T>* to) {
  to->insert(to->end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::optional<std::string> visible_gpus(const DetectOptions& options) {
  if (options.gpus) return options.gpus;
  const char* variable = std::getenv("CUDA_VISIBLE_DEVICES");
  return variable == nullptr ? std::nullopt : std::optional<std::string>(variable);
}

}  // namespace

Detected detect_meters(const DetectOptions& options) {
  const Clock& clock = options.clock == nullptr ? system_clock() : *options.clock;
  Detected out;
  if (options.gpu) {
    NvmlMeters nvml = find_nvml_meters(options.nvml_library, visible_gpus(options), clock);
    move_into(std::move(nvml.gpus), &out.meters);
    move_into(std::move(nvml.unavailable), &out.unavailable);
  }
  if (!options.cpu && !options.dram) return out;
  const bool dies_share_counter = base::cpu_model_name().starts_with("AMD");
  RaplMeters rapl = find_rapl_meters(options.powercap_root, dies_share_counter, clock);
  const bool cpu_measured = !rapl.packages.empty();
  if (options.cpu) move_into(std::move(rapl.packages), &out.meters);
  if (options.dram) move_into(std::move(rapl.dram), &out.meters);
  move_into(std::move(rapl.unavailable), &out.unavailable);
  if (options.cpu && !cpu_measured && options.cpu_model_when_unmeasured) {
    out.meters.push_back(make_cpu_model_meter(options.cpu_profile, clock));
  }
  return out;
}

}  // namespace frugal::energy
