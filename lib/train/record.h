// A training result as JSON and back: the part of a resume file that is not tensors.
#pragma once

#include "base/json.h"
#include "base/status.h"
#include "train/trainer.h"

namespace frugal::train {

// Steps, tokens, curve, validation and best step; seconds belong to a session and stay out.
base::Json to_json(const TrainResult& result);
absl::StatusOr<TrainResult> parse_record(const base::Json& json, std::string_view where);

}  // namespace frugal::train
