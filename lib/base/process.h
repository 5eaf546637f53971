// What this process uses and where it runs: peak memory, CPU time, the CPU's name and threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace frugal::base {

// The most resident memory this process had since it began or since the last reset, in bytes (VmHWM
// of /proc/self/status). `proc` is injectable for tests. Unknown where the kernel does not say.
std::optional<int64_t> peak_resident_bytes(const std::filesystem::path& proc = "/proc/self");

// The resident memory now (VmRSS).
std::optional<int64_t> resident_bytes(const std::filesystem::path& proc = "/proc/self");

// Lets the peak begin anew at the present size. False where the kernel does not allow it (some
// containers): the peak then covers the whole life of the process, and its reader must say so.
bool reset_peak_resident_bytes(const std::filesystem::path& proc = "/proc/self");

// Lets the system take back the pages of `bytes` of a mapped file: they no longer count as
// resident, and a later look reads them again.
void release_pages(std::span<const std::byte> bytes);

// Asks the system to read `bytes` of a mapped file from the disk while other work goes on; they do
// not count as resident before they are looked at.
void read_ahead(std::span<const std::byte> bytes);

// CPU time of all threads of this process, of its children that have ended and were waited for, and
// of the running ones that are watched, in seconds.
double cpu_seconds();

// Counts a running child's CPU time in cpu_seconds() from now on, until reap_child has waited for
// it: no moment counts it twice or not at all.
void watch_child(int pid);
// waitpid(pid, &status, flags) of a watched child; true when it has ended.
bool reap_child(int pid, int flags, int& status);
// CPU time of all threads of a running child; of a watched one never less than it was. 0 where
// unknown.
double child_cpu_seconds(int pid);

// "AMD EPYC 7B13"; empty where unknown.
std::string cpu_model_name(const std::filesystem::path& cpuinfo = "/proc/cpuinfo");

// Hardware threads that this process may run on (its affinity mask); at least 1.
int available_cpus();

// Hardware threads of the machine that are online; at least 1.
int online_cpus();

}  // namespace frugal::base
