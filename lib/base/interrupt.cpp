#include "base/interrupt.h"

#include <unistd.h>

#include <csignal>

namespace frugal::base {
namespace {

volatile std::sig_atomic_t requested = 0;

// Only async-signal-safe calls are allowed here.
void on_signal(int number) {
  if (requested != 0) {
    std::signal(number, SIG_DFL);
    std::raise(number);
    return;
  }
  requested = 1;
  constexpr char kText[] = "\nstopping at the next safe point; once more to stop at once\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action{};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupt_requested() { return requested != 0; }

absl::Status check_interrupt() { return interrupt_requested() ? interrupted() : absl::OkStatus(); }

void request_interrupt() { requested = 1; }
void clear_interrupt() { requested = 0; }

}  // namespace frugal::base
