#include <unistd.h>

#include <cstdlib>

#include "base/interrupt.h"
#include "cli.h"

namespace {

// libgomp's workers spin between parallel regions unless told otherwise before it is loaded: on
// shared cores small training steps then take four to fourteen times as long. It reads the variable
// at load time, hence the new start.
void ensure_passive_waiting(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  ::setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
  ::execv("/proc/self/exe", argv);  // returns only where that failed; then it merely runs slower
}

}  // namespace

int main(int argc, char** argv) {
  ensure_passive_waiting(argv);
  frugal::base::install_interrupt_handler();
  return frugal::tool::run_command_line(argc, argv);
}
