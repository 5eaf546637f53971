#include "base/process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
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

double cpu_seconds() {
  timespec own{};
  rusage children{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  ::getrusage(RUSAGE_CHILDREN, &children);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return static_cast<double>(own.tv_sec) + 1e-9 * static_cast<double>(own.tv_nsec) +
         seconds(children.ru_utime) + seconds(children.ru_stime);
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
