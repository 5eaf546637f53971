// Ctrl-C: the first one asks long work to stop at its next natural grain, a second one ends the
// process at once.
#pragma once

#include "base/status.h"

namespace frugal::base {

// Installs the SIGINT and SIGTERM handlers; called once by main.
void install_interrupt_handler();

// True after the first SIGINT or SIGTERM. Loops ask it once a layer or step.
bool interrupt_requested();

// interrupted() when interrupt_requested(), else OK.
absl::Status check_interrupt();

// For tests.
void request_interrupt();
void clear_interrupt();

}  // namespace frugal::base
