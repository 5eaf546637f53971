// The text of configs/cpus.yaml, put in by the build. Internal to the room.
#pragma once

#include <string_view>

namespace frugal::energy {

extern const std::string_view kCpuTableText;

}  // namespace frugal::energy
