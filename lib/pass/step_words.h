// What a step did, in words for people, from its record in the journal.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace frugal::pass {

// "quantize: recipe fast, grid q4_k, calibrated on 8192 tokens of novels": the pass and those of
// its options that say what came of it, as far as they are given.
std::string step_in_words(const base::Json& record);

// The text that a step calibrated on.
struct CalibrationUse {
  std::string data;    // as the pipeline calls it; empty: none
  int64_t tokens = 0;  // that the layers saw; 0: not recorded
};
CalibrationUse calibration_of(const base::Json& record);

}  // namespace frugal::pass
