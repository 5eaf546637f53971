#include "energy/cuda_devices.h"

#include <dlfcn.h>

#include <array>
#include <cstdio>

namespace frugal::energy {
namespace {

// Our own view of the driver's C interface: no header of NVIDIA's is needed.
struct Uuid {
  std::array<unsigned char, 16> bytes;
};

// In groups of 8-4-4-4-12 digits, as nvidia-smi and CUDA_VISIBLE_DEVICES write it.
std::string to_text(const Uuid& uuid) {
  std::string out;
  for (size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", uuid.bytes[i]);
    out += digits;
  }
  return out;
}

template <typename Function>
Function* find(void* library, const char* symbol) {
  return reinterpret_cast<Function*>(::dlsym(library, symbol));
}

}  // namespace

absl::StatusOr<std::vector<std::string>> cuda_uuids(const std::string& library) {
  // Stays open: whoever computes on CUDA has it open until the process ends.
  void* driver = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) {
    return base::not_found("no CUDA driver here ('", library, "' cannot be opened)");
  }
  auto* init = find<int(unsigned)>(driver, "cuInit");
  auto* count_of = find<int(int*)>(driver, "cuDeviceGetCount");
  auto* get = find<int(int*, int)>(driver, "cuDeviceGet");
  auto* uuid_of = find<int(Uuid*, int)>(driver, "cuDeviceGetUuid_v2");  // of a slice its own
  if (uuid_of == nullptr) uuid_of = find<int(Uuid*, int)>(driver, "cuDeviceGetUuid");
  if (init == nullptr || count_of == nullptr || get == nullptr || uuid_of == nullptr) {
    return base::failed("'", library, "' is too old: it does not tell the UUID of a device");
  }
  const auto refused = [&](const char* call, int code) {
    return base::failed("CUDA: ", call, " failed (", code, ")");
  };
  if (const int code = init(0); code != 0) return refused("cuInit", code);
  int count = 0;
  if (const int code = count_of(&count); code != 0) return refused("cuDeviceGetCount", code);
  std::vector<std::string> uuids;
  for (int index = 0; index < count; ++index) {
    int device = 0;
    Uuid uuid{};
    if (const int code = get(&device, index); code != 0) return refused("cuDeviceGet", code);
    if (const int code = uuid_of(&uuid, device); code != 0) return refused("cuDeviceGetUuid", code);
    uuids.push_back(to_text(uuid));
  }
  return uuids;
}

}  // namespace frugal::energy
