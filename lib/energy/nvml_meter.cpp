#include "energy/nvml_meter.h"

#include <dlfcn.h>

#include <string_view>
#include <utility>

namespace frugal::energy {
namespace {

// Our own view of NVML's C interface (stable since driver 410): no header of NVIDIA's is needed.
using Device = void*;
using Return = int;
constexpr Return kSuccess = 0;
constexpr Return kNoPermission = 4;
constexpr unsigned kNameBytes = 96;
constexpr int kTemperatureOfTheChip = 0;

struct Api {
  void* library = nullptr;
  Return (*init)() = nullptr;
  Return (*shutdown)() = nullptr;
  const char* (*error_string)(Return) = nullptr;
  Return (*count)(unsigned*) = nullptr;
  Return (*handle)(unsigned, Device*) = nullptr;
  Return (*name)(Device, char*, unsigned) = nullptr;
  Return (*uuid)(Device, char*, unsigned) = nullptr;
  Return (*energy)(Device, unsigned long long*) = nullptr;
  Return (*power)(Device, unsigned*) = nullptr;
  Return (*temperature)(Device, int, unsigned*) = nullptr;
  Return (*power_limit)(Device, unsigned*) = nullptr;
  bool initialized = false;

  Api() = default;
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;
  ~Api() {
    if (initialized) shutdown();
    if (library != nullptr) ::dlclose(library);
  }

  template <typename Function>
  bool find(const char* symbol, Function** function) {
    *function = reinterpret_cast<Function*>(::dlsym(library, symbol));
    return *function != nullptr;
  }

  absl::Status error(std::string_view call, Return code) const {
    return base::failed(
        "NVML: ", call, " failed: ", std::string(error_string(code)), " (", code, ")",
        code == kNoPermission ? "; the container or user lacks access to the device" : "");
  }
};

absl::StatusOr<std::shared_ptr<Api>> open_nvml(const std::string& library) {
  auto api = std::make_shared<Api>();
  api->library = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (api->library == nullptr) {
    return base::not_found("no NVIDIA driver here ('", library, "' cannot be opened)");
  }
  const bool complete =
      api->find("nvmlInit_v2", &api->init) && api->find("nvmlShutdown", &api->shutdown) &&
      api->find("nvmlErrorString", &api->error_string) &&
      api->find("nvmlDeviceGetCount_v2", &api->count) &&
      api->find("nvmlDeviceGetHandleByIndex_v2", &api->handle) &&
      api->find("nvmlDeviceGetName", &api->name) && api->find("nvmlDeviceGetUUID", &api->uuid) &&
      api->find("nvmlDeviceGetTotalEnergyConsumption", &api->energy);
  if (!complete) return base::failed("'", library, "' is too old: driver 410 or later is needed");
  // Only for the conditions of a run; absent is fine.
  api->find("nvmlDeviceGetPowerUsage", &api->power);
  api->find("nvmlDeviceGetTemperature", &api->temperature);
  api->find("nvmlDeviceGetEnforcedPowerLimit", &api->power_limit);
  if (const Return code = api->init(); code != kSuccess) return api->error("nvmlInit", code);
  api->initialized = true;
  return api;
}

class NvmlMeter : public Meter {
 public:
  NvmlMeter(std::shared_ptr<Api> api, Device device, MeterInfo info, const Clock& clock)
      : api_(std::move(api)), device_(device), info_(std::move(info)), clock_(clock) {}

  const MeterInfo& info() const override { return info_; }

  absl::StatusOr<Reading> read() override {
    unsigned long long millijoules = 0;
    if (const Return code = api_->energy(device_, &millijoules); code != kSuccess) {
      return base::annotate(api_->error("nvmlDeviceGetTotalEnergyConsumption", code), info_.scope);
    }
    return Reading{millijoules, clock_.seconds()};
  }

  base::Json conditions() override {
    base::Json out = base::Json::object();
    unsigned value = 0;
    if (api_->power != nullptr && api_->power(device_, &value) == kSuccess)
      out["power_watts"] = value / 1e3;
    if (api_->temperature != nullptr &&
        api_->temperature(device_, kTemperatureOfTheChip, &value) == kSuccess) {
      out["temperature_celsius"] = value;
    }
    if (api_->power_limit != nullptr && api_->power_limit(device_, &value) == kSuccess) {
      out["power_limit_watts"] = value / 1e3;
    }
    return out;
  }

 private:
  std::shared_ptr<Api> api_;
  Device device_;
  MeterInfo info_;
  const Clock& clock_;
};

// Does an entry of CUDA_VISIBLE_DEVICES name this device?
bool names(std::string_view entry, unsigned index, std::string_view uuid) {
  return entry == base::str_cat(index) || (entry.starts_with("GPU-") && uuid.starts_with(entry));
}

bool is_visible(const std::optional<std::string>& visible, unsigned index, std::string_view uuid) {
  if (!visible) return true;
  for (const std::string& part : base::split(*visible, ',')) {
    const std::string_view entry = base::trim(part);
    if (entry == "-1" || entry.empty()) return false;  // as CUDA: what follows is hidden
    if (names(entry, index, uuid)) return true;
  }
  return false;
}

absl::StatusOr<std::unique_ptr<Meter>> make_meter(const std::shared_ptr<Api>& api, unsigned index,
                                                  const std::optional<std::string>& visible,
                                                  const Clock& clock) {
  Device device = nullptr;
  if (const Return code = api->handle(index, &device); code != kSuccess) {
    return api->error("nvmlDeviceGetHandleByIndex", code);
  }
  char name[kNameBytes] = {}, uuid[kNameBytes] = {};
  if (const Return code = api->uuid(device, uuid, kNameBytes); code != kSuccess) {
    return api->error("nvmlDeviceGetUUID", code);
  }
  if (!is_visible(visible, index, uuid)) return std::unique_ptr<Meter>();
  const bool named = api->name(device, name, kNameBytes) == kSuccess;
  MeterInfo info;
  info.name = base::str_cat("gpu-", index);
  info.scope = base::str_cat("GPU ", index, " board",
                             named ? base::str_cat(" (", std::string(name), ")") : "");
  info.domain = Domain::kGpu;
  info.method = base::str_cat("NVML total energy counter of ", std::string(uuid));
  info.unit = "mJ";
  info.joules_per_unit = 1e-3;
  info.update_seconds = 0.1;
  auto meter = std::make_unique<NvmlMeter>(api, device, std::move(info), clock);
  const auto first = meter->read();  // GPUs before Volta have no such counter
  FRUGAL_RETURN_IF_ERROR(first.status());
  return meter;
}

}  // namespace

NvmlMeters find_nvml_meters(const std::string& library, const std::optional<std::string>& visible,
                            const Clock& clock) {
  NvmlMeters out;
  const auto api = open_nvml(library);
  if (!api.ok()) {
    out.unavailable.push_back({"nvml", std::string(api.status().message())});
    return out;
  }
  unsigned count = 0;
  if (const Return code = (*api)->count(&count); code != kSuccess) {
    out.unavailable.push_back(
        {"nvml", std::string((*api)->error("nvmlDeviceGetCount", code).message())});
    return out;
  }
  for (unsigned index = 0; index < count; ++index) {
    auto meter = make_meter(*api, index, visible, clock);
    if (!meter.ok()) {
      out.unavailable.push_back(
          {base::str_cat("gpu-", index), std::string(meter.status().message())});
    } else if (*meter != nullptr) {
      out.gpus.push_back(*std::move(meter));
    }
  }
  if (out.gpus.empty() && out.unavailable.empty()) {
    out.unavailable.push_back({"nvml", count == 0 ? "the NVIDIA driver sees no GPU"
                                                  : "every GPU is hidden by CUDA_VISIBLE_DEVICES"});
  }
  return out;
}

}  // namespace frugal::energy
