// What the CPU says of itself: its name, and family and model of CPUID where a cloud hides the
// name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace frugal::energy {

struct CpuIdentity {
  std::string name;    // "AMD EPYC 7763 64-Core Processor"; empty: it gives none (Arm)
  std::string vendor;  // "AuthenticAMD", "GenuineIntel"; Arm: the implementer, "0x41"
  std::optional<int64_t> family, model;  // x86: of CPUID; Arm: 0 and the part
  bool guest = false;                    // runs below a hypervisor that says so
  // Hardware threads of a core that the system shows, where it does: 1 in a guest may still be a
  // half of a core or a whole one.
  std::optional<int64_t> threads_per_core;
};

// From Linux's text, injectable for tests. What the file lacks stays empty.
CpuIdentity read_cpu_identity(const std::filesystem::path& cpuinfo = "/proc/cpuinfo");

// "AMD EPYC (family 25, model 17, a virtual machine)"; "CPU of unknown name" where it says nothing.
std::string describe(const CpuIdentity& cpu);

}  // namespace frugal::energy
