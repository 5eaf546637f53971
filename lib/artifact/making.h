// How a model came to be: what an artifact may say of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace frugal::artifact {

// How a model came to be, as far as whoever exports it knows; what is empty is unknown.
struct Making {
  std::string version = {};             // of frugal
  std::vector<std::string> steps = {};  // in words, first to last
  std::string recipe = {};              // of the quantization
  std::string method = {};              // that it came to: "gptq", "rtn"
  std::string calibration = {};         // what its data are called
  int64_t calibration_tokens = 0;
  std::optional<uint64_t> seed = {};

  bool operator==(const Making&) const = default;
};

}  // namespace frugal::artifact
