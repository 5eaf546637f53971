#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/interrupt.h"
#include "cli.h"

namespace {

constexpr char kPolicy[] = "OMP_WAIT_POLICY=";
constexpr char kPassive[] = "OMP_WAIT_POLICY=PASSIVE";

// libgomp's workers spin between parallel regions unless told otherwise before it is loaded: on
// shared cores small training steps then take four to fourteen times as long. It reads the variable
// when it is initialized, hence a new start; before any library is initialized, so that LibTorch's
// 0.2 s are paid once.
void ensure_passive_waiting(int, char** argv, char** environment) {
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (std::strncmp(environment[count], kPolicy, sizeof kPolicy - 1) == 0) return;
  }
  const size_t bytes = (count + 2) * sizeof(char*);
  auto** extended = static_cast<const char**>(__builtin_alloca(bytes));
  std::memcpy(extended, environment, count * sizeof(char*));
  extended[count] = kPassive;
  extended[count + 1] = nullptr;
  // Returns only where it failed; then frugal merely runs slower.
  ::execve("/proc/self/exe", argv, const_cast<char**>(extended));
}

// LibTorch keeps the code of each bf16 product that it has made, up to 1024 shapes of each library
// below it, with memory for each. Experts get another number of tokens in every step: training a
// small mixture held 1300 MB after 30 steps, and 410 MB with 64 shapes, at the same speed.
void bound_product_caches() {
  for (const char* cache : {"LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"})
    ::setenv(cache, "64", /*overwrite=*/0);
}

// The dynamic linker calls these of the executable before the constructors of any library.
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const kBeforeLibraries)(int, char**, char**) = ensure_passive_waiting;

}  // namespace

int main(int argc, char** argv) {
  bound_product_caches();
  frugal::base::install_interrupt_handler();
  return frugal::tool::run_command_line(argc, argv);
}
