#include "base/interrupt.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "support/shared_data.h"

namespace frugal::base {
namespace {

TEST(Interrupt, IsAskedForAndCleared) {
  clear_interrupt();
  EXPECT_FALSE(interrupt_requested());
  FRUGAL_EXPECT_OK(check_interrupt());
  request_interrupt();
  EXPECT_TRUE(interrupt_requested());
  EXPECT_TRUE(is_interrupted(check_interrupt()));
  clear_interrupt();
  FRUGAL_EXPECT_OK(check_interrupt());
}

// In a process of its own: one signal is noted, a second, even of the other kind, ends it.
TEST(Interrupt, SecondSignalEndsTheProcess) {
  const pid_t child = fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr);
    clear_interrupt();
    install_interrupt_handler();
    raise(SIGINT);
    if (!interrupt_requested()) _exit(1);
    raise(SIGTERM);
    _exit(2);
  }
  int outcome = 0;
  ASSERT_EQ(waitpid(child, &outcome, 0), child);
  ASSERT_TRUE(WIFSIGNALED(outcome)) << "exit status " << WEXITSTATUS(outcome);
  EXPECT_EQ(WTERMSIG(outcome), SIGTERM);
}

}  // namespace
}  // namespace frugal::base
