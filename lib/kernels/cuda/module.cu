// libfrugal_cuda.so: the kernels around sweep_steps.h and pack_steps.h, and the module's table.
#include <cuda_runtime.h>

#include "kernels/cuda/pack_steps.h"
#include "kernels/cuda/sweep_steps.h"

namespace frugal::kernels::cuda {
namespace {

struct WarpTeam {
  int lane;
  template <class Body>
  __device__ __forceinline__ void each(const Body& body) const {
    body(lane);
    __syncwarp();
  }
};

struct DeviceBlock {
  float* memory;
  __device__ __forceinline__ float* shared() const { return memory; }
  template <class Body>
  __device__ __forceinline__ void each_thread(const Body& body) const {
    body(static_cast<int>(threadIdx.x), static_cast<int>(blockDim.x));
    __syncthreads();
  }
  template <class Body>
  __device__ __forceinline__ void each_warp(const Body& body) const {
    WarpTeam team = {static_cast<int>(threadIdx.x % kLanes)};
    body(team, static_cast<int>(threadIdx.x / kLanes));
    __syncthreads();
  }
};

__global__ void __launch_bounds__(8 * kLanes)
    sweep_kernel(const __grid_constant__ SweepArguments arguments) {
  extern __shared__ float memory[];
  DeviceBlock block = {memory};
  sweep_thread_block(block, arguments, blockIdx.x);
}

__global__ void pack_kernel(const __grid_constant__ FrugalCudaPack pack, int64_t bytes) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < bytes;
       i += step) {
    pack.packed[i] = packed_byte(pack, i);
  }
}

// Makes the device that holds `pointer` the current one of this runtime, for a scope. The program's
// other runtime (LibTorch's) shares the driver's current context, so it must be put back.
class DeviceScope {
 public:
  explicit DeviceScope(const void* pointer) {
    cudaPointerAttributes attributes = {};
    status_ = cudaGetDevice(&before_);
    if (status_ == 0) status_ = cudaPointerGetAttributes(&attributes, pointer);
    if (status_ != 0) return;
    if (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeManaged) {
      status_ = FRUGAL_CUDA_NOT_ON_DEVICE;
      return;
    }
    device_ = attributes.device;
    if (device_ != before_) status_ = cudaSetDevice(device_);
  }
  ~DeviceScope() {
    if (status_ == 0 && device_ != before_) cudaSetDevice(before_);
  }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  int status() const { return status_; }
  // OK where `pointer` is null or lies on the same device.
  int holds(const void* pointer) const {
    if (pointer == nullptr) return 0;
    cudaPointerAttributes attributes = {};
    if (const int status = cudaPointerGetAttributes(&attributes, pointer)) return status;
    const bool device =
        attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged;
    return device && attributes.device == device_ ? 0 : FRUGAL_CUDA_NOT_ON_DEVICE;
  }

 private:
  int before_ = 0, device_ = 0, status_ = 0;
};

int device_count(int* count) { return cudaGetDeviceCount(count); }

const char* error_text(int code) {
  if (code == FRUGAL_CUDA_BAD_ARGUMENT) return "arguments beyond the module's limits";
  if (code == FRUGAL_CUDA_NOT_ON_DEVICE) return "a pointer is not memory of the CUDA device";
  return cudaGetErrorString(static_cast<cudaError_t>(code));
}

int allocate(void** device, size_t bytes) { return cudaMalloc(device, bytes); }
int release(void* device) { return cudaFree(device); }
int synchronize() { return cudaDeviceSynchronize(); }

int copy(const FrugalCudaCopy* c) {
  if (c->rows == 0 || c->row_bytes == 0) return 0;
  const int status = cudaMemcpy2D(c->to, c->to_stride_bytes, c->from, c->from_stride_bytes,
                                  c->row_bytes, c->rows, cudaMemcpyDefault);
  return status;
}

int check_pointers(const DeviceScope& scope, const FrugalCudaSweep& s) {
  for (const void* pointer :
       {static_cast<const void*>(s.weights), static_cast<const void*>(s.factor),
        static_cast<const void*>(s.importance), static_cast<const void*>(s.scales),
        static_cast<const void*>(s.offsets), static_cast<const void*>(s.codes),
        static_cast<const void*>(s.parameters), static_cast<const void*>(s.row_loss)}) {
    if (const int status = scope.holds(pointer)) return status;
  }
  return 0;
}

int sweep(const FrugalCudaSweep* s) {
  if (sweep_problem(*s) != nullptr) return FRUGAL_CUDA_BAD_ARGUMENT;
  if (s->rows == 0) return 0;
  const DeviceScope scope(s->errors);
  if (scope.status() != 0) return scope.status();
  if (const int status = check_pointers(scope, *s)) return status;
  const SweepArguments arguments = sweep_arguments(*s);
  const int rows = arguments.rows_per_block;
  const auto bytes = static_cast<size_t>(shared_bytes(*s, rows));
  if (const int status = cudaFuncSetAttribute(
          sweep_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes))) {
    return status;
  }
  const auto blocks = static_cast<unsigned>((s->rows + rows - 1) / rows);
  sweep_kernel<<<blocks, rows * kLanes, bytes>>>(arguments);
  return cudaGetLastError();
}

int pack(const FrugalCudaPack* p) {
  const int64_t bytes = p->rows * p->blocks * p->block_bytes;
  if (bytes == 0) return 0;
  const DeviceScope scope(p->packed);
  if (scope.status() != 0) return scope.status();
  for (const void* pointer :
       {static_cast<const void*>(p->codes), static_cast<const void*>(p->parameters)}) {
    if (const int status = scope.holds(pointer)) return status;
  }
  constexpr int64_t kThreads = 256, kMostBlocks = 1 << 16;
  const int64_t blocks = (bytes + kThreads - 1) / kThreads;
  pack_kernel<<<static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks), kThreads>>>(
      *p, bytes);
  return cudaGetLastError();
}

constexpr FrugalCudaModule kModule = {FRUGAL_CUDA_ABI,
                                      sizeof(FrugalCudaModule),
                                      FRUGAL_CUDA_BUILD,
                                      device_count,
                                      error_text,
                                      allocate,
                                      release,
                                      copy,
                                      synchronize,
                                      sweep,
                                      pack};

}  // namespace
}  // namespace frugal::kernels::cuda

extern "C" __attribute__((visibility("default"))) const FrugalCudaModule* frugal_cuda_module() {
  return &frugal::kernels::cuda::kModule;
}
