#include "energy/window.h"

#include <algorithm>
#include <cmath>

namespace frugal::energy {
namespace {

using base::str_cat;

constexpr double kIdleDriftShare =
    0.1;  // of idle power before and after; more and the machine was not at rest

const MeterWindow* find(const WindowResult& result, std::string_view meter) {
  for (const MeterWindow& window : result.meters) {
    if (window.info.name == meter) return &window;
  }
  return nullptr;
}

// The sum of one number over all meters, unknown where one is.
template <typename Number>
Figure total(const WindowResult& result, const Number& number) {
  Figure sum{0.0, "J", Provenance::kMeasured, ""};
  if (result.meters.empty())
    return {std::nullopt, "J", Provenance::kAssumed, "this machine has no meter"};
  for (const MeterWindow& window : result.meters) {
    sum.provenance = weakest(sum.provenance, window.info.provenance);
    const std::optional<double> value = number(window);
    if (!value) {
      return {std::nullopt, "J", sum.provenance,
              str_cat(window.info.scope, ": ",
                      window.reason.empty() ? "no idle power is known" : window.reason)};
    }
    *sum.value += *value;
    sum.basis += str_cat(sum.basis.empty() ? "" : " + ", window.info.scope);
  }
  return sum;
}

}  // namespace

Figure WindowResult::total_joules() const {
  return total(*this, [](const MeterWindow& window) { return window.joules; });
}

Figure WindowResult::total_net_joules() const {
  return total(*this, [](const MeterWindow& window) { return window.net_joules; });
}

std::optional<double> joules_between(const MeterWindow& window) {
  if (!window.begin || !window.end) return std::nullopt;
  if (window.wraps < 0 || (window.wraps > 0 && !window.info.wrap_units)) return std::nullopt;
  // 128 bits: a difference of 64-bit counters with wraps must neither overflow nor round.
  __int128 units =
      static_cast<__int128>(window.end->raw) - static_cast<__int128>(window.begin->raw);
  if (window.wraps > 0) units += static_cast<__int128>(*window.info.wrap_units) * window.wraps;
  if (units < 0) return std::nullopt;
  return static_cast<double>(units) * window.info.joules_per_unit;
}

std::vector<IdlePower> idle_power(const WindowResult& before, const WindowResult* after) {
  std::vector<IdlePower> out;
  for (const MeterWindow& window : before.meters) {
    if (!window.info.whole_device) continue;
    IdlePower idle{window.info.name, std::nullopt, window.mean_watts, std::nullopt};
    const MeterWindow* later = after == nullptr ? nullptr : find(*after, window.info.name);
    if (later != nullptr) idle.after_watts = later->mean_watts;
    if (idle.before_watts && idle.after_watts) {
      idle.watts = (*idle.before_watts + *idle.after_watts) / 2;
    } else {
      idle.watts = idle.before_watts ? idle.before_watts : idle.after_watts;
    }
    out.push_back(idle);
  }
  return out;
}

void apply_idle(WindowResult& result, const std::vector<IdlePower>& idle) {
  for (MeterWindow& window : result.meters) {
    window.idle_watts = std::nullopt;
    window.net_joules = std::nullopt;
    if (!window.info.whole_device) {
      window.net_joules = window.joules;
      continue;
    }
    const auto found = std::find_if(idle.begin(), idle.end(), [&](const IdlePower& power) {
      return power.meter == window.info.name;
    });
    if (found == idle.end() || !found->watts) continue;
    window.idle_watts = found->watts;
    if (found->before_watts && found->after_watts &&
        std::abs(*found->before_watts - *found->after_watts) > kIdleDriftShare * *found->watts) {
      window.warnings.push_back(str_cat("idle power was ", *found->before_watts, " W before and ",
                                        *found->after_watts,
                                        " W after: the machine was not at rest"));
    }
    if (!window.joules) continue;
    window.net_joules = *window.joules - *window.idle_watts * window.seconds;
    if (*window.net_joules < 0)
      window.warnings.push_back("less than idle: the difference is within the noise");
  }
}

}  // namespace frugal::energy
