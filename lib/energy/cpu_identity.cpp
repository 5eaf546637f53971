#include "energy/cpu_identity.h"

#include <charconv>
#include <map>
#include <string_view>

#include "base/file.h"
#include "base/text.h"

namespace frugal::energy {
namespace {

// A kernel writes one block for each hardware thread: some MiB on the largest machines.
constexpr int64_t kMaxFileBytes = int64_t{64} << 20;

// The fields of the first block; the others repeat them.
std::map<std::string, std::string> first_block(const std::string& text) {
  std::map<std::string, std::string> out;
  for (const std::string& line : base::split(text, '\n')) {
    const size_t colon = line.find(':');
    if (base::trim(line).empty() && !out.empty()) break;
    if (colon == std::string::npos) continue;
    out.try_emplace(std::string(base::trim(std::string_view(line).substr(0, colon))),
                    base::trim(std::string_view(line).substr(colon + 1)));
  }
  return out;
}

// "25" or "0xd0c".
std::optional<int64_t> number(const std::map<std::string, std::string>& fields,
                              const std::string& key) {
  const auto found = fields.find(key);
  if (found == fields.end()) return std::nullopt;
  std::string_view digits = found->second;
  const bool hexadecimal = digits.starts_with("0x");
  if (hexadecimal) digits.remove_prefix(2);
  int64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, hexadecimal ? 16 : 10);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

}  // namespace

CpuIdentity read_cpu_identity(const std::filesystem::path& cpuinfo) {
  CpuIdentity cpu;
  const auto content = base::read_file(cpuinfo, kMaxFileBytes);
  if (!content.ok()) return cpu;
  const auto fields = first_block(*content);
  const auto text = [&](const std::string& key) {
    const auto found = fields.find(key);
    return found == fields.end() ? std::string() : found->second;
  };
  if (fields.contains("CPU implementer")) {
    cpu.vendor = text("CPU implementer");
    cpu.family = 0;
    cpu.model = number(fields, "CPU part");
    return cpu;
  }
  cpu.name = text("model name");
  cpu.vendor = text("vendor_id");
  cpu.family = number(fields, "cpu family");
  cpu.model = number(fields, "model");
  cpu.guest = base::str_cat(" ", text("flags"), " ").find(" hypervisor ") != std::string::npos;
  const auto siblings = number(fields, "siblings"), cores = number(fields, "cpu cores");
  if (siblings && cores && *cores > 0) cpu.threads_per_core = *siblings / *cores;
  return cpu;
}

std::string describe(const CpuIdentity& cpu) {
  if (cpu.vendor.empty()) return cpu.name.empty() ? "CPU of unknown name" : cpu.name;
  std::string out = cpu.name.empty() ? base::str_cat("CPU of vendor ", cpu.vendor) : cpu.name;
  out += " (";
  if (cpu.family) out += base::str_cat("family ", *cpu.family, ", ");
  if (cpu.model) out += base::str_cat("model ", *cpu.model, ", ");
  return out + (cpu.guest ? "a virtual machine)" : "no virtual machine is said)");
}

}  // namespace frugal::energy
