// What must hold before a run starts: mistakes cost seconds, not hours.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "train/trainer.h"

namespace frugal::train {

// Sizes, ids below the vocabulary, sequences inside the context, at least one token that counts.
// Reads all of it, some sequences at a time, and returns a hash of them. `what` names the data.
absl::StatusOr<std::string> check_data(const text::SequenceReader& data,
                                       const architecture::ModelConfig& config,
                                       std::string_view what);

absl::Status check_numbers(const TrainOptions& options);

// The student is fp32; a teacher is there where one is asked for, with the same vocabulary, on the
// same device.
absl::Status check_models(const model::Decoder& student, const model::Decoder* teacher,
                          const TrainOptions& options);

// What kAuto means on `device`. Errors: bf16 on a CPU that does not multiply it.
absl::StatusOr<Precision> resolve_precision(Precision wanted, const at::Device& device);

}  // namespace frugal::train
