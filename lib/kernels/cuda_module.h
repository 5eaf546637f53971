// libfrugal_cuda.so, opened when it is first asked for: the CUDA kernels behind a C interface
// (kernels/cuda/module.h). The program starts and works without it.
#pragma once

#include <filesystem>
#include <string>

#include "kernels/cuda/module.h"

namespace frugal::kernels {

// What was found. With `table` null, `problem` says why and what to do; `present` tells a module
// that cannot be used (an installation to repair) from one that is not there.
struct CudaModule {
  const FrugalCudaModule* table = nullptr;
  bool present = false;
  std::string path;
  std::string problem;
};

// The module named by the environment variable FRUGAL_CUDA_MODULE, or the one beside the executable
// or in ../lib of its folder. Opened once per process.
const CudaModule& cuda_module();

// Opens one file, and checks its interface against this program's.
CudaModule open_cuda_module(const std::filesystem::path& path);

// A module is there, and the driver shows it a device.
bool cuda_available();
// Why cuda_available() says no; empty where it says yes.
std::string cuda_problem();

// Throws std::runtime_error where `code`, an answer of the module, is not 0; `what` says what was
// being done.
void check_cuda(const FrugalCudaModule& module, int code, const char* what);

}  // namespace frugal::kernels
