// A meter: a counter of energy that only grows, its unit and its scope. And the clock that stamps
// readings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "energy/provenance.h"
#include "energy/range.h"

namespace frugal::energy {

// Monotonic time, injectable for tests.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual double seconds() const = 0;  // since an arbitrary origin, never backwards
  virtual void sleep(double seconds) const = 0;
  virtual std::string utc_time() const = 0;  // ISO 8601, "2026-01-31T12:00:00Z"
};
const Clock& system_clock();

enum class Domain { kGpu, kCpu, kMemory, kMachine };

struct MeterInfo {
  std::string name;   // "gpu-0", "cpu-package-0", "dram-0", "cpu-model"
  std::string scope;  // "GPU 0 board (NVIDIA H200)", "CPU package 0", "CPU (model)"
  Domain domain = Domain::kCpu;
  Provenance provenance = Provenance::kMeasured;
  std::string method;  // one sentence: what is read, or the model with its constants
  std::string unit;    // of the raw counter: "mJ", "uJ", "CPU ns"
  double joules_per_unit = 0;
  // Of a model: what its constants may be as well. A measured counter has none.
  std::optional<Range> joules_per_unit_range;
  std::optional<uint64_t>
      wrap_units;  // the largest counter value, where the counter wraps; else absent
  std::optional<double> update_seconds;  // how often the counter moves, where known
  // How often it wants to be read: the integral of a power, or its cross-check, needs samples.
  std::optional<double> sample_seconds;
  // Whether sums count it. False: a part of what another meter counts, or the whole around it; it
  // is shown beside.
  bool in_total = true;
  bool whole_device = true;  // counts the device, whoever uses it; false: this process only
};

// One reading of a counter: raw value in the meter's unit, and when it was taken.
struct Reading {
  uint64_t raw = 0;
  double seconds = 0;
};

class Meter {
 public:
  virtual ~Meter() = default;
  virtual const MeterInfo& info() const = 0;
  // Errors: the counter could not be read. A failed read is never a zero.
  virtual absl::StatusOr<Reading> read() = 0;
  // What else is worth knowing at this moment: {"power_watts", "temperature_celsius",
  // "power_limit_watts", "clock_mhz", "memory_clock_mhz"} as far as the device tells; an empty
  // object where it tells nothing.
  virtual base::Json conditions() { return base::Json::object(); }
  // The device's own word on its power, for a cross-check of its energy counter; absent where it
  // says nothing apart from the counter.
  virtual std::optional<double> watts() { return std::nullopt; }
};

// A meter that is not there, and what to do about it.
struct Unavailable {
  std::string name;    // "nvml", "rapl"
  std::string reason;  // with the remedy
};

base::Json to_json(const MeterInfo& info);
absl::StatusOr<MeterInfo> meter_info_from_json(const base::Json& json, std::string_view where);
// [{"name": …, "scope": …, "provenance": …, …}, …], and each unavailable one as {"name",
// "unavailable": reason}.
base::Json to_json(const std::vector<MeterInfo>& meters,
                   const std::vector<Unavailable>& unavailable);

}  // namespace frugal::energy
