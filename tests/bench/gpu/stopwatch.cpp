#include "stopwatch.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace frugal::bench {

void wait_for(const at::Device& device) {
  if (!device.is_cpu())
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

double median_seconds(const at::Device& device, const std::function<void()>& body, int runs) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (int i = 0; i <= runs; ++i) {
    wait_for(device);
    const Clock::time_point begin = Clock::now();
    body();
    wait_for(device);
    if (i > 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

}  // namespace frugal::bench
