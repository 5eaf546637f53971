#include "base/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <map>
#include <mutex>
#include <string_view>

#include "base/file.h"
#include "base/text.h"

namespace frugal::base {
namespace {

constexpr int64_t kMaxProcBytes = int64_t{1} << 24;

// The text behind "`key`…:" of the first line that begins so.
std::optional<std::string> field(const std::filesystem::path& path, std::string_view key) {
  const auto content = read_file(path, kMaxProcBytes);
  if (!content.ok()) return std::nullopt;
  for (const std::string& line : split(*content, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos || trim(line.substr(0, colon)) != key) continue;
    return std::string(trim(std::string_view(line).substr(colon + 1)));
  }
  return std::nullopt;
}

std::optional<int64_t> kibibytes(const std::filesystem::path& path, std::string_view key) {
  const std::optional<std::string> text = field(path, key);
  if (!text) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || std::string_view(end) != " kB") return std::nullopt;
  return value * 1024;
}

}  // namespace

std::optional<int64_t> peak_resident_bytes(const std::filesystem::path& proc) {
  return kibibytes(proc / "status", "VmHWM");
}

std::optional<int64_t> resident_bytes(const std::filesystem::path& proc) {
  return kibibytes(proc / "status", "VmRSS");
}

bool reset_peak_resident_bytes(const std::filesystem::path& proc) {
  const int file = ::open((proc / "clear_refs").c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool done = ::write(file, "5", 1) == 1;  // 5: reset the peak, and nothing else
  ::close(file);
  return done;
}

namespace {

void advise(std::span<const std::byte> bytes, int advice) {
  if (bytes.empty()) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t before = reinterpret_cast<uintptr_t>(bytes.data()) % page;
  auto* const begin = const_cast<std::byte*>(bytes.data()) - before;
  ::madvise(begin, bytes.size() + before, advice);  // nothing depends on it
}

}  // namespace

void release_pages(std::span<const std::byte> bytes) { advise(bytes, MADV_DONTNEED); }

void read_ahead(std::span<const std::byte> bytes) { advise(bytes, MADV_WILLNEED); }

namespace {

struct WatchedChildren {
  std::mutex mutex;
  std::map<int, double> cpu_seconds;  // as last seen
};

WatchedChildren& watched_children() {
  static WatchedChildren children;
  return children;
}

double seconds_of(const timespec& time) {
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Of another process; `before` where it cannot be read (it is about to end).
double process_cpu_seconds(int pid, double before) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return before;
  return std::max(before, seconds_of(time));
}

}  // namespace

void watch_child(int pid) {
  WatchedChildren& children = watched_children();
  const std::lock_guard lock(children.mutex);
  children.cpu_seconds[pid] = 0.0;
}

bool reap_child(int pid, int flags, int& status) {
  WatchedChildren& children = watched_children();
  if ((flags & WNOHANG) == 0) {  // waits without the lock, and leaves the child to be collected
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
      continue;
  }
  const std::lock_guard lock(children.mutex);
  if (::waitpid(pid, &status, WNOHANG) != pid) return false;
  children.cpu_seconds.erase(pid);
  return true;
}

double child_cpu_seconds(int pid) {
  WatchedChildren& children = watched_children();
  const std::lock_guard lock(children.mutex);
  const auto child = children.cpu_seconds.find(pid);
  if (child == children.cpu_seconds.end()) return process_cpu_seconds(pid, 0.0);
  return child->second = process_cpu_seconds(pid, child->second);
}

double cpu_seconds() {
  WatchedChildren& children = watched_children();
  const std::lock_guard lock(children.mutex);
  timespec own{};
  rusage ended{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  ::getrusage(RUSAGE_CHILDREN, &ended);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  double total = seconds_of(own) + seconds(ended.ru_utime) + seconds(ended.ru_stime);
  for (auto& [pid, seen] : children.cpu_seconds) {
    seen = process_cpu_seconds(pid, seen);
    total += seen;
  }
  return total;
}

std::string cpu_model_name(const std::filesystem::path& cpuinfo) {
  return field(cpuinfo, "model name").value_or("");
}

int available_cpus() {
  cpu_set_t mask;
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return online_cpus();
  return std::max(1, CPU_COUNT(&mask));
}

int online_cpus() { return static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))); }

}  // namespace frugal::base
