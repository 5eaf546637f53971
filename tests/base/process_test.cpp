#include "base/process.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "support/shared_data.h"

namespace frugal::base {
namespace {

namespace fs = std::filesystem;

TEST(Process, ReadsMemoryFromTheKernelsText) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "status")
      << "Name:\tVmHWM:\nVmHWM:\t    1234 kB\nVmRSS:\t  1000 kB\n";
  EXPECT_EQ(peak_resident_bytes(folder.path()), 1234 * 1024);
  EXPECT_EQ(resident_bytes(folder.path()), 1000 * 1024);
}

TEST(Process, UnknownIsNotZero) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(peak_resident_bytes(folder.path()), std::nullopt);
  EXPECT_FALSE(reset_peak_resident_bytes(folder.path()));
  for (const char* text :
       {"Name:\tx\n", "VmHWM:\n", "VmHWM:\tmany kB\n", "VmHWM:\t7 MB\n", "VmHWM:\t7\n"}) {
    std::ofstream(folder.path() / "status") << text;
    EXPECT_EQ(peak_resident_bytes(folder.path()), std::nullopt) << text;
  }
}

TEST(Process, ResetWritesWhatTheKernelExpects) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "clear_refs").flush();
  EXPECT_TRUE(reset_peak_resident_bytes(folder.path()));
  std::string text;
  std::getline(std::ifstream(folder.path() / "clear_refs"), text);
  EXPECT_EQ(text, "5");
}

TEST(Process, PeakFollowsAnAllocation) {
  constexpr int64_t kBytes = 64 << 20;
  if (!reset_peak_resident_bytes()) GTEST_SKIP() << "this kernel does not allow resetting the peak";
  const int64_t before = peak_resident_bytes().value();
  // Straight from the kernel and back: an allocator (or a sanitizer's) may keep what is freed.
  void* block = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(block, MAP_FAILED);
  std::memset(block, 1, kBytes);
  ASSERT_EQ(munmap(block, kBytes), 0);
  // The kernel counts pages per thread in batches, hence the slack.
  EXPECT_GE(peak_resident_bytes().value(), before + kBytes - (4 << 20));
  ASSERT_TRUE(reset_peak_resident_bytes());
  EXPECT_LT(peak_resident_bytes().value(), before + kBytes / 2);
}

TEST(Process, ReadingAheadAndLettingGoChangeNoBytes) {
  constexpr size_t kBytes = 16 << 20;
  const test::TemporaryFolder folder;
  const std::string content(kBytes, 'x');
  FRUGAL_ASSERT_OK(write_file_atomically(folder.path() / "weights", content));
  FRUGAL_ASSERT_OK_AND_ASSIGN(const MappedFile file, MappedFile::open(folder.path() / "weights"));
  const std::span<const std::byte> part = file.bytes().subspan(100, kBytes - 200);
  const int64_t before = resident_bytes().value();
  read_ahead(part);
  EXPECT_LT(resident_bytes().value(), before + static_cast<int64_t>(kBytes) / 2);
  EXPECT_EQ(std::memcmp(part.data(), content.data(), part.size()), 0);
  EXPECT_GE(resident_bytes().value(), before + static_cast<int64_t>(kBytes) / 2);
  release_pages(part);
  EXPECT_LT(resident_bytes().value(), before + static_cast<int64_t>(kBytes) / 2);
  EXPECT_EQ(std::memcmp(part.data(), content.data(), part.size()), 0);
  read_ahead({});
}

TEST(Process, CountsChildrenThatWereWaitedFor) {
  const double before = cpu_seconds();
  const pid_t child = fork();
  if (child == 0) {
    while (cpu_seconds() < 0.05) {  // a fork begins its own account at zero
    }
    _exit(0);
  }
  int outcome = 0;
  ASSERT_EQ(waitpid(child, &outcome, 0), child);
  EXPECT_GE(cpu_seconds() - before,
            0.045);  // the kernel accounts in microseconds, the margin is for its tick
}

TEST(Process, NamesTheCpu) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "cpuinfo")
      << "processor\t: 0\nmodel name\t: Example CPU: 9000\nmodel name\t: other\n";
  EXPECT_EQ(cpu_model_name(folder.path() / "cpuinfo"), "Example CPU: 9000");
  EXPECT_EQ(cpu_model_name(folder.path() / "none"), "");
  EXPECT_GE(available_cpus(), 1);
  EXPECT_GE(online_cpus(), available_cpus());
}

}  // namespace
}  // namespace frugal::base
