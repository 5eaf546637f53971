// What a resume file of the scale tuning says of the steps done. Internal.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "train/scale_tuning.h"

namespace frugal::train {

base::Json to_json(const ScaleTuningResult& result);

// Continues `result` after the steps of `record`. Errors: a field of another type; `where` is the
// file.
absl::Status take_record(const base::Json& record, std::string_view where,
                         ScaleTuningResult& result);

}  // namespace frugal::train
