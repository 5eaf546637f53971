#include "energy/nvml_meter.h"

#include <dlfcn.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "energy/cuda_devices.h"
#include "energy/integrating_meter.h"

namespace frugal::energy {
namespace {

// Our own view of NVML's C interface (stable since driver 410): no header of NVIDIA's is needed.
using Device = void*;
using Return = int;
constexpr Return kSuccess = 0;
constexpr Return kNotSupported = 3;
constexpr Return kNoPermission = 4;
constexpr unsigned kNameBytes = 96;
constexpr int kTemperatureOfTheChip = 0;
constexpr int kClockOfTheMultiprocessors = 1, kClockOfTheMemory = 2;

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
  Return (*clock)(Device, int, unsigned*) = nullptr;
  Return (*slice_count)(Device, unsigned*) = nullptr;
  Return (*slice)(Device, unsigned, Device*) = nullptr;
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
  api->find("nvmlDeviceGetClockInfo", &api->clock);
  // Of drivers that know MIG.
  api->find("nvmlDeviceGetMaxMigDeviceCount", &api->slice_count);
  api->find("nvmlDeviceGetMigDeviceHandleByIndex", &api->slice);
  if (const Return code = api->init(); code != kSuccess) return api->error("nvmlInit", code);
  api->initialized = true;
  return api;
}

absl::StatusOr<double> watts_of(const Api& api, Device device) {
  if (api.power == nullptr) return base::failed("the driver does not tell the power");
  unsigned milliwatts = 0;
  if (const Return code = api.power(device, &milliwatts); code != kSuccess)
    return api.error("nvmlDeviceGetPowerUsage", code);
  return milliwatts / 1e3;
}

base::Json conditions_of(const Api& api, Device device) {
  base::Json out = base::Json::object();
  if (const auto watts = watts_of(api, device); watts.ok()) out["power_watts"] = *watts;
  unsigned value = 0;
  if (api.temperature != nullptr &&
      api.temperature(device, kTemperatureOfTheChip, &value) == kSuccess) {
    out["temperature_celsius"] = value;
  }
  if (api.power_limit != nullptr && api.power_limit(device, &value) == kSuccess)
    out["power_limit_watts"] = value / 1e3;
  if (api.clock == nullptr) return out;
  if (api.clock(device, kClockOfTheMultiprocessors, &value) == kSuccess) out["clock_mhz"] = value;
  if (api.clock(device, kClockOfTheMemory, &value) == kSuccess) out["memory_clock_mhz"] = value;
  return out;
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

  base::Json conditions() override { return conditions_of(*api_, device_); }

  std::optional<double> watts() override {
    const auto watts = watts_of(*api_, device_);
    return watts.ok() ? std::optional<double>(*watts) : std::nullopt;
  }

 private:
  std::shared_ptr<Api> api_;
  Device device_;
  MeterInfo info_;
  const Clock& clock_;
};

// A GPU as the driver lists it, and the UUIDs of the MIG slices it is cut into.
struct Board {
  unsigned index = 0;  // NVML's: in the order of the bus
  Device device = nullptr;
  std::string uuid;                      // "GPU-…"
  std::vector<std::string> slices = {};  // "MIG-…"
};

absl::StatusOr<std::string> uuid_of(const Api& api, Device device) {
  char uuid[kNameBytes] = {};
  if (const Return code = api.uuid(device, uuid, kNameBytes); code != kSuccess) {
    return api.error("nvmlDeviceGetUUID", code);
  }
  return uuid;
}

std::vector<std::string> slices_of(const Api& api, Device board) {
  std::vector<std::string> out;
  unsigned count = 0;
  if (api.slice_count == nullptr || api.slice == nullptr) return out;
  if (api.slice_count(board, &count) != kSuccess) return out;  // a GPU that cannot be cut
  for (unsigned i = 0; i < count; ++i) {
    Device slice = nullptr;
    if (api.slice(board, i, &slice) != kSuccess) continue;  // places that are not taken
    if (auto uuid = uuid_of(api, slice); uuid.ok()) out.push_back(*std::move(uuid));
  }
  return out;
}

absl::StatusOr<Board> board_at(const Api& api, unsigned index) {
  Board board{.index = index};
  if (const Return code = api.handle(index, &board.device); code != kSuccess) {
    return api.error("nvmlDeviceGetHandleByIndex", code);
  }
  FRUGAL_ASSIGN_OR_RETURN(board.uuid, uuid_of(api, board.device));
  board.slices = slices_of(api, board.device);
  return board;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The length of a UUID in text.
constexpr size_t kUuidDigits = 36;

// Does an entry of a list name this board or a slice of it? "2", "GPU-8f…", "MIG-1a…",
// "MIG-GPU-8f…/gi/ci" (drivers before 470), or a whole UUID of either.
bool names(std::string_view entry, const Board& board) {
  if (is_number(entry)) return entry == base::str_cat(board.index);
  if (entry.size() == kUuidDigits && !entry.starts_with("GPU-") && !entry.starts_with("MIG-")) {
    return names(base::str_cat("GPU-", entry), board) || names(base::str_cat("MIG-", entry), board);
  }
  if (entry.starts_with("MIG-GPU-")) return board.uuid == entry.substr(4, entry.find('/') - 4);
  if (entry.starts_with("GPU-")) return board.uuid.starts_with(entry);
  if (!entry.starts_with("MIG-")) return false;
  return std::any_of(board.slices.begin(), board.slices.end(),
                     [&](const std::string& slice) { return slice.starts_with(entry); });
}

using Chosen = std::set<unsigned>;  // NVML's indices

// The boards that a list names. As CUDA reads it: what stands behind an entry that names nothing is
// hidden.
Chosen chosen_by(std::string_view list, const std::vector<Board>& boards) {
  Chosen chosen;
  for (const std::string& part : base::split(list, ',')) {
    const std::string_view entry = base::trim(part);
    const auto board =
        std::find_if(boards.begin(), boards.end(), [&](const Board& b) { return names(entry, b); });
    if (entry.empty() || board == boards.end()) break;
    chosen.insert(board->index);
  }
  return chosen;
}

// Whether the list counts GPUs as CUDA does, which NVML's indices may not follow.
bool counts_in_another_order(const GpuChoice& choice, size_t boards) {
  if (choice.bus_order || boards < 2) return false;
  for (const std::string& part : base::split(*choice.list, ',')) {
    if (is_number(base::trim(part))) return true;
  }
  return false;
}

absl::StatusOr<Chosen> choose(const GpuChoice& choice, const std::vector<Board>& boards) {
  if (!choice.list) {
    Chosen all;
    for (const Board& board : boards) all.insert(board.index);
    return all;
  }
  if (!counts_in_another_order(choice, boards.size())) return chosen_by(*choice.list, boards);
  const auto uuids = cuda_uuids(choice.cuda_library);
  if (!uuids.ok()) {
    return base::failed("CUDA_VISIBLE_DEVICES=", *choice.list,
                        " counts GPUs in CUDA's order, the energy counters are in the order of the "
                        "bus, and CUDA does not tell which is which (",
                        uuids.status().message(),
                        "); set CUDA_DEVICE_ORDER=PCI_BUS_ID, or list UUIDs (nvidia-smi -L)");
  }
  Chosen chosen;
  for (const std::string& uuid : *uuids) {
    for (const Board& board : boards) {
      if (names(uuid, board)) chosen.insert(board.index);
    }
  }
  return chosen;
}

// GPUs before Volta, and some behind a hypervisor, have no counter.
std::unique_ptr<Meter> integrated(const std::shared_ptr<Api>& api, const Board& board,
                                  MeterInfo info, const Clock& clock) {
  info.method =
      base::str_cat("integral (trapezoid, every ", kPowerSampleSeconds, " s) of the NVML power of ",
                    board.uuid, ", which has no energy counter");
  const Device device = board.device;
  return make_integrating_meter(
      std::move(info),
      {.watts = [api, device] { return watts_of(*api, device); },
       .conditions = [api, device] { return conditions_of(*api, device); }},
      clock);
}

absl::StatusOr<std::unique_ptr<Meter>> make_meter(const std::shared_ptr<Api>& api,
                                                  const Board& board, const Clock& clock) {
  char name[kNameBytes] = {};
  const bool named = api->name(board.device, name, kNameBytes) == kSuccess;
  MeterInfo info;
  info.name = base::str_cat("gpu-", board.index);
  info.scope = base::str_cat("GPU ", board.index, " board",
                             named ? base::str_cat(" (", std::string(name), ")") : "",
                             board.slices.empty() ? "" : ", all of its MIG slices");
  info.domain = Domain::kGpu;
  unsigned long long millijoules = 0;
  const Return code = api->energy(board.device, &millijoules);
  const auto watts = watts_of(*api, board.device);
  if (code == kNotSupported && watts.ok()) return integrated(api, board, std::move(info), clock);
  if (code != kSuccess) return api->error("nvmlDeviceGetTotalEnergyConsumption", code);
  info.method = base::str_cat("NVML total energy counter of ", board.uuid,
                              watts.ok() ? ", checked against the integral of its power" : "");
  info.unit = "mJ";
  info.joules_per_unit = 1e-3;
  info.update_seconds = 0.1;
  if (watts.ok()) info.sample_seconds = kPowerSampleSeconds;
  return std::make_unique<NvmlMeter>(api, board.device, std::move(info), clock);
}

}  // namespace

NvmlMeters find_nvml_meters(const std::string& library, const GpuChoice& choice,
                            const Clock& clock) {
  NvmlMeters out;
  const auto unavailable = [&](std::string name, const absl::Status& why) {
    out.unavailable.push_back({std::move(name), std::string(why.message())});
  };
  const auto api = open_nvml(library);
  if (!api.ok()) {
    unavailable("nvml", api.status());
    return out;
  }
  unsigned count = 0;
  if (const Return code = (*api)->count(&count); code != kSuccess) {
    unavailable("nvml", (*api)->error("nvmlDeviceGetCount", code));
    return out;
  }
  std::vector<Board> boards;
  for (unsigned index = 0; index < count; ++index) {
    auto board = board_at(**api, index);
    if (board.ok()) {
      boards.push_back(*std::move(board));
    } else {
      unavailable(base::str_cat("gpu-", index), board.status());
    }
  }
  const auto chosen = choose(choice, boards);
  if (!chosen.ok()) {
    unavailable("nvml", chosen.status());
    return out;
  }
  for (const Board& board : boards) {
    if (!chosen->contains(board.index)) continue;
    auto meter = make_meter(*api, board, clock);
    if (meter.ok()) {
      out.gpus.push_back(*std::move(meter));
    } else {
      unavailable(base::str_cat("gpu-", board.index), meter.status());
    }
  }
  if (out.gpus.empty() && out.unavailable.empty()) {
    out.unavailable.push_back({"nvml", count == 0 ? "the NVIDIA driver sees no GPU"
                                                  : "every GPU is hidden by CUDA_VISIBLE_DEVICES"});
  }
  return out;
}

}  // namespace frugal::energy
