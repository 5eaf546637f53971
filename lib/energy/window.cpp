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

// The joules of one meter, gross or net, as a figure.
Figure figure_of(const MeterWindow& window, bool net) {
  const std::optional<double>& value = net ? window.net_joules : window.joules;
  if (!value) {
    return {std::nullopt, "J", window.info.provenance,
            str_cat(window.info.scope, ": ",
                    window.reason.empty() ? "no idle power is known" : window.reason)};
  }
  return {value,
          "J",
          window.info.provenance,
          window.info.scope,
          net ? net_joules_range(window) : joules_range(window),
          window.marks};
}

Figure total(const WindowResult& result, bool net) {
  std::optional<Figure> out;
  for (const MeterWindow& window : result.meters) {
    if (!window.info.in_total) continue;
    const Figure next = figure_of(window, net);
    out = out ? sum(*out, next) : next;
  }
  if (!out) return {std::nullopt, "J", Provenance::kAssumed, "this machine has no meter"};
  return *out;
}

// By how much each bound of the model stands off its estimate.
std::optional<Range> relative_range(const MeterInfo& info) {
  if (!info.joules_per_unit_range || !(info.joules_per_unit > 0)) return std::nullopt;
  return scaled(*info.joules_per_unit_range, 1 / info.joules_per_unit);
}

}  // namespace

Figure WindowResult::total_joules() const { return total(*this, false); }

Figure WindowResult::total_net_joules() const { return total(*this, true); }

std::optional<Range> joules_range(const MeterWindow& window) {
  const auto relative = relative_range(window.info);
  if (!relative || !window.joules) return std::nullopt;
  return scaled(*relative, *window.joules);
}

std::optional<Range> net_joules_range(const MeterWindow& window) {
  const auto gross = joules_range(window);
  if (!gross || !window.net_joules) return std::nullopt;
  const double idle = *window.joules - *window.net_joules;
  return Range{gross->low - idle, gross->high - idle};
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
      add_mark(kRestless, &window.marks);
      window.warnings.push_back(str_cat("idle power was ", *found->before_watts, " W before and ",
                                        *found->after_watts,
                                        " W after: the machine was not at rest"));
    }
    if (!window.joules) continue;
    window.net_joules = *window.joules - *window.idle_watts * window.seconds;
    if (*window.net_joules < 0) {
      add_mark(kBelowIdle, &window.marks);
      window.warnings.push_back("less than idle: the difference is within the noise");
    }
  }
}

}  // namespace frugal::energy
