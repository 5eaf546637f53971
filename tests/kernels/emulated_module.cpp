// The emulation as a module of its own, or (FRUGAL_TEST_ABI) one of another interface.
#include "emulated_cuda.h"

extern "C" __attribute__((visibility("default"))) const FrugalCudaModule* frugal_cuda_module() {
#ifdef FRUGAL_TEST_ABI
  static FrugalCudaModule module = [] {
    FrugalCudaModule other = {};
    other.abi = FRUGAL_TEST_ABI;
    other.bytes = 8;
    return other;
  }();
  return &module;
#else
  return &frugal::kernels::emulated_cuda(frugal::kernels::LaneOrder::kAscending);
#endif
}
