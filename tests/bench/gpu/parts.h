// What frugal_gpu_bench can be asked for.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace frugal::bench {

// A layer of a Llama with random weights.
struct LayerOptions {
  std::string device = "cuda";
  int64_t width = 2048;
  int64_t neurons = 8192;
  int64_t tokens = 16384;  // in windows of `window`
  int64_t window = 2048;
};
// Times a walk over one layer, factorizations, sweeps, the search for scales and the finish, with
// operations and bytes against what the device reaches on large products and copies.
absl::Status time_layer(const LayerOptions& options);

// Times the sweep kernel and packing alone, without LibTorch.
absl::Status time_sweeps();

// Two quantized checkpoints: shares of equal codes and of equal stored parameters. False where
// fewer codes than `least` are equal.
absl::StatusOr<bool> compare_codes(const std::string& a, const std::string& b, double least);

// The GPU's energy counter against samples of its power, while it multiplies for `seconds`. False
// where they disagree.
absl::StatusOr<bool> check_energy(const std::string& device, double seconds);

}  // namespace frugal::bench
