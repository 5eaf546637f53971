#include "base/child_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/interrupt.h"
#include "base/process.h"
#include "support/shared_data.h"

namespace frugal::base {
namespace {

absl::StatusOr<ChildProcess> shell(const std::string& script) {
  return ChildProcess::start({"sh", "-c", script});
}

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

TEST(ChildProcess, TalksOverItsInputAndOutput) {
  auto child = shell("read line; echo \"heard $line\"; head -c 5");
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_TRUE(child->write("hello\nabcde").ok());
  const auto line = child->read_line(100);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(*line, "heard hello");
}

TEST(ChildProcess, MovesMoreThanAPipeHolds) {
  auto child = shell("cat");
  ASSERT_TRUE(child.ok()) << child.status();
  const std::string sent(40000, 'x');
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(child->write(sent).ok());
    std::string got(sent.size(), ' ');
    ASSERT_TRUE(child->read(bytes_of(got)).ok());
    EXPECT_EQ(got, sent);
  }
}

TEST(ChildProcess, AnEndIsToldWithItsCodeAndItsLastWords) {
  auto child = shell("echo 'the file is torn' >&2; exit 3");
  ASSERT_TRUE(child.ok()) << child.status();
  const auto line = child->read_line(100);
  ASSERT_FALSE(line.ok());
  EXPECT_EQ(line.status().message(), "sh ended with exit code 3; it said:\nthe file is torn");
}

TEST(ChildProcess, AKillIsToldWithItsSignal) {
  auto child = shell("kill -9 $$");
  ASSERT_TRUE(child.ok()) << child.status();
  const auto line = child->read_line(100);
  ASSERT_FALSE(line.ok());
  EXPECT_NE(line.status().message().find("was ended by signal 9"), absl::string_view::npos)
      << line.status();
}

TEST(ChildProcess, AProgramThatIsNotThereIsToldByName) {
  auto child = ChildProcess::start({"/no/such/program"});
  ASSERT_TRUE(child.ok()) << child.status();
  const absl::Status status = child->read_line(100).status();
  EXPECT_NE(status.message().find("cannot run /no/such/program: No such file"),
            absl::string_view::npos)
      << status;
}

TEST(ChildProcess, SilenceHasAnEnd) {
  auto child = shell("sleep 100");
  ASSERT_TRUE(child.ok()) << child.status();
  child->set_patience(0.3);
  const absl::Status status = child->read_line(100).status();
  EXPECT_NE(status.message().find("neither taken nor given a byte"), absl::string_view::npos)
      << status;
}

TEST(ChildProcess, ALineHasALimit) {
  auto child = shell("head -c 5000 /dev/zero | tr '\\0' 'x'; sleep 100");
  ASSERT_TRUE(child.ok()) << child.status();
  const absl::Status status = child->read_line(1000).status();
  EXPECT_NE(status.message().find("a line longer than 1000 bytes"), absl::string_view::npos)
      << status;
}

TEST(ChildProcess, MuchOnStandardErrorBlocksNothing) {
  auto child = shell("head -c 3000000 /dev/zero | tr '\\0' 'e' >&2; echo done");
  ASSERT_TRUE(child.ok()) << child.status();
  const auto line = child->read_line(100);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(*line, "done");
  EXPECT_LE(child->error_output().size(), size_t{1} << 17);
}

TEST(ChildProcess, AnInterruptionIsAnswered) {
  auto child = shell("sleep 100");
  ASSERT_TRUE(child.ok()) << child.status();
  request_interrupt();
  const absl::Status status = child->read_line(100).status();
  clear_interrupt();
  EXPECT_TRUE(is_interrupted(status)) << status;
}

TEST(ChildProcess, LeavesNothingBehind) {
  int pid = 0;
  {
    auto child = shell("echo $$; sleep 100");
    ASSERT_TRUE(child.ok()) << child.status();
    const auto line = child->read_line(100);
    ASSERT_TRUE(line.ok()) << line.status();
    pid = std::stoi(*line);
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a zombie is left";
}

TEST(ChildProcess, ItsCpuTimeCountsWhileItRunsAndOnlyOnce) {
  const double before = cpu_seconds();
  double running = 0, own = 0;
  {
    auto child = shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read wait");
    ASSERT_TRUE(child.ok()) << child.status();
    ASSERT_TRUE(child->read_line(100).ok());
    own = child->cpu_seconds();
    running = cpu_seconds();
    EXPECT_GT(own, 0.0);
    EXPECT_GE(running, before + own);
  }
  const double after = cpu_seconds();
  EXPECT_GE(after, running - 1e-5);  // rusage counts microseconds, the clock nanoseconds
  EXPECT_LT(after - running, own);   // twice would be more
}

}  // namespace
}  // namespace frugal::base
