// Seconds of work on a device.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace frugal::bench {

// Waits for all work on `device`; nothing on the CPU.
void wait_for(const at::Device& device);

// The middle one of `runs` runs of `body`, each waited for, after one that is not counted.
double median_seconds(const at::Device& device, const std::function<void()>& body, int runs = 3);

}  // namespace frugal::bench
