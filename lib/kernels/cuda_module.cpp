#include "kernels/cuda_module.h"

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace frugal::kernels {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "libfrugal_cuda.so";

std::vector<fs::path> places() {
  if (const char* named = std::getenv("FRUGAL_CUDA_MODULE"); named != nullptr && *named != '\0')
    return {named};
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  if (error) return {};
  return {folder / kFileName, folder / "../lib" / kFileName};
}

CudaModule find_module() {
  std::string looked;
  for (const fs::path& path : places()) {
    std::error_code error;
    if (fs::exists(path, error)) return open_cuda_module(path);
    looked += (looked.empty() ? "" : ", ") + path.string();
  }
  CudaModule absent;
  absent.problem = "no CUDA module at " + looked +
                   "; build where nvcc is found (scripts/setup --cuda), or name it in "
                   "FRUGAL_CUDA_MODULE";
  return absent;
}

std::string last_error() {
  const char* const text = dlerror();
  return text == nullptr ? "unknown reason" : text;
}

}  // namespace

CudaModule open_cuda_module(const fs::path& path) {
  CudaModule module{.present = true, .path = path.string()};
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    module.problem = "cannot open the CUDA module " + module.path + ": " + last_error();
    return module;
  }
  const auto function =
      reinterpret_cast<FrugalCudaModuleFunction>(dlsym(library, FRUGAL_CUDA_MODULE_SYMBOL));
  if (function == nullptr) {
    module.problem =
        module.path + " is no CUDA module of frugal: it has no symbol " + FRUGAL_CUDA_MODULE_SYMBOL;
    return module;
  }
  const FrugalCudaModule* const table = function();
  if (table->abi != FRUGAL_CUDA_ABI || table->bytes != sizeof(FrugalCudaModule)) {
    module.problem = "the CUDA module " + module.path + " has interface " +
                     std::to_string(table->abi) + " (" + std::to_string(table->bytes) +
                     " bytes), this program needs " + std::to_string(FRUGAL_CUDA_ABI) + " (" +
                     std::to_string(sizeof(FrugalCudaModule)) +
                     " bytes): they come from different builds; install both from one";
    return module;
  }
  module.table = table;
  return module;
}

const CudaModule& cuda_module() {
  static const CudaModule module = find_module();
  return module;
}

bool cuda_available() { return cuda_problem().empty(); }

std::string cuda_problem() {
  const CudaModule& module = cuda_module();
  if (module.table == nullptr) return module.problem;
  int count = 0;
  const std::string which = "the CUDA module " + module.path + " (" + module.table->build + ") ";
  if (const int code = module.table->device_count(&count); code != 0)
    return which + "cannot use a device: " + module.table->error_text(code);
  return count > 0 ? "" : which + "sees no device";
}

void check_cuda(const FrugalCudaModule& module, int code, const char* what) {
  if (code == 0) return;
  throw std::runtime_error(std::string(what) + ": " + module.error_text(code) + " (CUDA error " +
                           std::to_string(code) + ")");
}

}  // namespace frugal::kernels
