#include "tensor/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <link.h>

#include <charconv>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/log.h"
#include "base/text.h"
#include "grid/instruction_sets.h"
#include "tensor/guard.h"

namespace frugal::tensor {
namespace {

namespace fs = std::filesystem;

fs::path folder_of_libtorch() {
  void* library = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
  link_map* map = nullptr;
  if (library == nullptr || dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) return {};
  std::error_code error;
  const fs::path path = fs::canonical(map->l_name, error);
  return error ? fs::path{} : path.parent_path();
}

std::string last_dl_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown reason" : text;
}

bool driver_present() { return dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL) != nullptr; }

// LibTorch asks for its CUDA hooks once, at first use: these libraries register them and must be
// there before.
absl::Status open_torch_cuda() {
  const fs::path folder = folder_of_libtorch();
  for (const char* name : {"libc10_cuda.so", "libtorch_cuda.so"}) {
    const fs::path path = folder / name;
    if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      return base::not_found("cannot open LibTorch's CUDA library ", path.string(), ": ",
                             last_dl_error(),
                             "; install the CUDA set of LibTorch 2.11.0 (scripts/setup --cuda)");
    }
  }
  return absl::OkStatus();
}

absl::Status open_cuda_libraries() {
  static const absl::Status status = [] {
    if (!driver_present()) {
      return base::not_found("no NVIDIA driver: libcuda.so.1 cannot be opened; use --device cpu");
    }
    return open_torch_cuda();  // our own kernels are opened where they are used (kernels room)
  }();
  return status;
}

absl::StatusOr<at::Device> open_cuda(int64_t index) {
  FRUGAL_RETURN_IF_ERROR(open_cuda_libraries());
  const absl::StatusOr<int64_t> count = guarded("counting CUDA devices", [] {
    return at::globalContext().hasCUDA()
               ? static_cast<int64_t>(
                     at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount())
               : int64_t{0};
  });
  if (!count.ok()) return count.status();
  if (index >= *count) {
    return base::not_found("no CUDA device ", index, ": LibTorch sees ", *count,
                           " (CUDA_VISIBLE_DEVICES, driver version?)");
  }
  const absl::Status ready =
      guarded("starting CUDA", [] { at::globalContext().lazyInitDevice(at::kCUDA); });
  if (!ready.ok()) return ready;
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

absl::StatusOr<at::Device> open_best() {
  const absl::StatusOr<at::Device> cuda = open_cuda(0);
  if (cuda.ok()) return cuda;
  const std::string reason =
      base::str_cat("device auto: the CPU, because ", cuda.status().message());
  driver_present() ? base::warn(reason) : base::debug(reason);
  return at::Device(at::kCPU);
}

// The driver's own name for the device; empty where it does not tell.
std::string cuda_device_name(int index) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr) return {};
  const auto get = reinterpret_cast<int (*)(int*, int)>(dlsym(driver, "cuDeviceGet"));
  const auto name_of = reinterpret_cast<int (*)(char*, int, int)>(dlsym(driver, "cuDeviceGetName"));
  int device = 0;
  char name[256] = {};
  if (get == nullptr || name_of == nullptr || get(&device, index) != 0 ||
      name_of(name, sizeof(name) - 1, device) != 0) {
    return {};
  }
  return name;
}

}  // namespace

absl::StatusOr<at::Device> open_device(std::string_view name) {
  if (name == "cpu") return at::Device(at::kCPU);
  if (name == "auto") return open_best();
  if (name == "cuda") return open_cuda(0);
  if (name.starts_with("cuda:")) {
    const std::string_view digits = name.substr(5);
    int64_t index = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error == std::errc{} && end == digits.data() + digits.size() && index >= 0 && index < 128) {
      return open_cuda(index);
    }
  }
  return base::invalid_argument("unknown device '", name,
                                "'; expected auto, cpu, cuda or cuda:<number>");
}

std::string describe(const at::Device& device) {
  if (!device.is_cuda()) return device.str();
  const int index = device.has_index() ? device.index() : 0;
  const std::string name = cuda_device_name(index);
  const std::string place = base::str_cat("cuda:", index);
  return name.empty() ? place : base::str_cat(place, " (", name, ")");
}

// Every CPU with AMX tiles for bf16 has AVX512_BF16, too.
bool cpu_has_native_bf16() { return grid::has_avx512_bf16(); }

}  // namespace frugal::tensor
