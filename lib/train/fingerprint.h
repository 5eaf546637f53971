// What tells one run of training from another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "model/decoder.h"
#include "train/parameter_view.h"
#include "train/trainer.h"

namespace frugal::train {

// What a resume file must agree with: everything that the bits of the result depend on. `teacher`
// may be null; `data_hash` is of check_data.
std::string fingerprint(const ParameterView& student, const model::Decoder* teacher,
                        std::string_view data_hash, const TrainOptions& options,
                        Precision precision, int64_t steps);

}  // namespace frugal::train
