// Two GPUs of a driver that does what the test says (fake_nvml_set_*, fake_cuda_set_*): NVML, and
// of CUDA what tells UUIDs. The second GPU is older than the energy counter; the first may be cut
// into slices.
#include <cstdint>
#include <cstdio>

namespace {

unsigned long long energy_millijoules = 5000;
int energy_result = 0;
int init_result = 0;
int open_handles = 0;
int slices = 0;                     // of the first GPU
unsigned old_power_milliwatts = 0;  // of the GPU without the counter; 0: it does not tell
int cuda_result = 0;
int cuda_first = 0;  // what CUDA shows first: GPU 0 or 1, or 2 + i for slice i of the first
int cuda_count = 2;

constexpr int kNotSupported = 3;
constexpr int kInvalidArgument = 2;

int index_of(void* device) { return static_cast<int>(reinterpret_cast<intptr_t>(device)) - 1; }
void* device_at(int index) { return reinterpret_cast<void*>(static_cast<intptr_t>(index) + 1); }

}  // namespace

extern "C" {

void fake_nvml_set_energy(unsigned long long millijoules) { energy_millijoules = millijoules; }
void fake_nvml_set_energy_result(int result) { energy_result = result; }
void fake_nvml_set_old_power(unsigned milliwatts) { old_power_milliwatts = milliwatts; }
void fake_nvml_set_init_result(int result) { init_result = result; }
int fake_nvml_open_handles() { return open_handles; }
void fake_nvml_set_slices(int count) { slices = count; }
void fake_cuda_set_result(int result) { cuda_result = result; }
void fake_cuda_set_first(int device) { cuda_first = device; }
void fake_cuda_set_count(int count) { cuda_count = count; }

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
  *device = device_at(static_cast<int>(index));
  return 0;
}
int nvmlDeviceGetName(void* device, char* name, unsigned length) {
  std::snprintf(name, length, "Fake GPU %c", 'A' + index_of(device));
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  std::snprintf(uuid, length, "%s-%d0000000-aaaa-bbbb-cccc-dddddddddddd",
                index_of(device) < 2 ? "GPU" : "MIG", index_of(device));
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void* device, unsigned* count) {
  if (index_of(device) == 1) return kNotSupported;
  *count = 7;
  return 0;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void*, unsigned index, void** slice) {
  constexpr int kNotFound = 6;
  if (static_cast<int>(index) >= slices) return kNotFound;
  *slice = device_at(2 + static_cast<int>(index));
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  if (index_of(device) == 1) return kNotSupported;
  *millijoules = energy_millijoules;
  return energy_result;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  *milliwatts = index_of(device) == 1 ? old_power_milliwatts : 123500;
  return *milliwatts == 0 ? kNotSupported : 0;
}
int nvmlDeviceGetTemperature(void*, int sensor, unsigned* celsius) {
  *celsius = 41;
  return sensor == 0 ? 0 : kInvalidArgument;
}
int nvmlDeviceGetClockInfo(void*, int of, unsigned* megahertz) {
  *megahertz = of == 1 ? 1980 : 2619;
  return of == 1 || of == 2 ? 0 : kInvalidArgument;
}
int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned*) { return kNotSupported; }

int cuInit(unsigned) { return cuda_result; }
int cuDeviceGetCount(int* count) {
  *count = cuda_count;
  return 0;
}
int cuDeviceGet(int* device, int index) {
  *device = index == 0 ? cuda_first : 1 - cuda_first;
  return 0;
}
int cuDeviceGetUuid_v2(unsigned char* bytes, int device) {
  constexpr unsigned char kRest[] = {0,    0,    0,    0xaa, 0xaa, 0xbb, 0xbb, 0xcc,
                                     0xcc, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd};
  bytes[0] = static_cast<unsigned char>(16 * device);
  for (int i = 0; i < 15; ++i) bytes[i + 1] = kRest[i];
  return 0;
}

}  // extern "C"
