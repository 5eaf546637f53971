#include "emulated_cuda.h"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/cuda/pack_steps.h"
#include "kernels/cuda/sweep_steps.h"

namespace frugal::kernels {
namespace {

template <LaneOrder kOrder, class Body>
void in_order(int count, const Body& body) {
  for (int i = 0; i < count; ++i) body(kOrder == LaneOrder::kAscending ? i : count - 1 - i);
}

template <LaneOrder kOrder>
struct EmulatedTeam {
  template <class Body>
  void each(const Body& body) const {
    in_order<kOrder>(cuda::kLanes, body);
  }
};

template <LaneOrder kOrder>
struct EmulatedBlock {
  int warps;
  std::vector<float> memory;
  float* shared() { return memory.data(); }
  template <class Body>
  void each_thread(const Body& body) const {
    const int threads = warps * cuda::kLanes;
    in_order<kOrder>(threads, [&](int thread) { body(thread, threads); });
  }
  template <class Body>
  void each_warp(const Body& body) const {
    in_order<kOrder>(warps, [&](int warp) {
      EmulatedTeam<kOrder> team;
      body(team, warp);
    });
  }
};

template <LaneOrder kOrder>
int sweep(const FrugalCudaSweep* s) {
  if (cuda::sweep_problem(*s) != nullptr) return FRUGAL_CUDA_BAD_ARGUMENT;
  const cuda::SweepArguments arguments = cuda::sweep_arguments(*s);
  const int rows = arguments.rows_per_block;
  EmulatedBlock<kOrder> block{rows, {}};
  for (int64_t i = 0; i * rows < s->rows; ++i) {
    // Shared memory holds anything at first: here NaN, which would be seen in the results.
    block.memory.assign(static_cast<size_t>(cuda::shared_bytes(*s, rows) / 4),
                        cuda::float_of(0x7fc00000u));
    cuda::sweep_thread_block(block, arguments, i);
  }
  return 0;
}

int pack(const FrugalCudaPack* p) {
  const int64_t bytes = p->rows * p->blocks * p->block_bytes;
  for (int64_t i = 0; i < bytes; ++i) p->packed[i] = cuda::packed_byte(*p, i);
  return 0;
}

int device_count(int* count) {
  *count = 1;
  return 0;
}
const char* error_text(int code) {
  return code == FRUGAL_CUDA_BAD_ARGUMENT ? "arguments beyond the module's limits" : "unknown";
}
int allocate(void** device, size_t bytes) {
  *device = std::malloc(bytes);
  return *device == nullptr ? 2 : 0;  // cudaErrorMemoryAllocation
}
int release(void* device) {
  std::free(device);
  return 0;
}
int copy(const FrugalCudaCopy* c) {
  for (size_t row = 0; row < c->rows; ++row) {
    std::memcpy(static_cast<char*>(c->to) + row * c->to_stride_bytes,
                static_cast<const char*>(c->from) + row * c->from_stride_bytes, c->row_bytes);
  }
  return 0;
}
int synchronize() { return 0; }

template <LaneOrder kOrder>
constexpr FrugalCudaModule kEmulated = {FRUGAL_CUDA_ABI,
                                        sizeof(FrugalCudaModule),
                                        "emulation on the host",
                                        device_count,
                                        error_text,
                                        allocate,
                                        release,
                                        copy,
                                        synchronize,
                                        sweep<kOrder>,
                                        pack};

}  // namespace

const FrugalCudaModule& emulated_cuda(LaneOrder order) {
  return order == LaneOrder::kAscending ? kEmulated<LaneOrder::kAscending>
                                        : kEmulated<LaneOrder::kDescending>;
}

}  // namespace frugal::kernels
