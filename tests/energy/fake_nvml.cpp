// Two GPUs of a driver that does what the test says (fake_nvml_set_*). The second is older than the
// energy counter.
#include <cstdint>
#include <cstdio>

namespace {

unsigned long long energy_millijoules = 5000;
int energy_result = 0;
int init_result = 0;
int open_handles = 0;

constexpr int kNotSupported = 3;
constexpr int kInvalidArgument = 2;

int index_of(void* device) { return static_cast<int>(reinterpret_cast<intptr_t>(device)) - 1; }

}  // namespace

extern "C" {

void fake_nvml_set_energy(unsigned long long millijoules) { energy_millijoules = millijoules; }
void fake_nvml_set_energy_result(int result) { energy_result = result; }
void fake_nvml_set_init_result(int result) { init_result = result; }
int fake_nvml_open_handles() { return open_handles; }

int nvmlInit_v2() {
  if (init_result == 0) ++open_handles;
  return init_result;
}
int nvmlShutdown() {
  --open_handles;
  return 0;
}
const char* nvmlErrorString(int result) { return result == 15 ? "GPU is lost" : "some error"; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (index > 1) return kInvalidArgument;
  *device = reinterpret_cast<void*>(static_cast<intptr_t>(index) + 1);
  return 0;
}
int nvmlDeviceGetName(void* device, char* name, unsigned length) {
  std::snprintf(name, length, "Fake GPU %c", 'A' + index_of(device));
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  std::snprintf(uuid, length, "GPU-%d0000000-aaaa", index_of(device));
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (index_of(device) == 1) return kNotSupported;
  *millijoules = energy_millijoules;
  return energy_result;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 123500;
  return 0;
}
int nvmlDeviceGetTemperature(void*, int sensor, unsigned* celsius) {
  *celsius = 41;
  return sensor == 0 ? 0 : kInvalidArgument;
}
int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned*) { return kNotSupported; }

}  // extern "C"
