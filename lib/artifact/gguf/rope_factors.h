// Llama 3's rotary scaling as GGUF files have it: factors by which llama.cpp divides each frequency
// (rope_freqs.weight), in place of the numbers of the rule that made them.
#pragma once

#include <span>
#include <vector>

#include "architecture/model_config.h"
#include "base/status.h"

namespace frugal::artifact {

// The factors [head_size / 2] of `scaling` (Llama 3's rule), in double precision.
std::vector<double> llama3_factors(const architecture::RopeScaling& scaling, double theta,
                                   int64_t head_size);

// The scaling whose factors these are, to fp32's precision; several may give the same factors, and
// then it is the one with the usual bounds (1 and 4). Errors: no such scaling.
absl::StatusOr<architecture::RopeScaling> scaling_of_factors(std::span<const float> factors,
                                                             double theta);

}  // namespace frugal::artifact
