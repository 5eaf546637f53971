// How well a model predicts data that it does not learn.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "model/decoder.h"
#include "text/packing.h"

namespace frugal::train {

struct ValidationSample {
  int64_t step = 0;
  double cross_entropy = 0;  // nats per token
  int64_t tokens = 0;
};

// Mean cross-entropy over the counted tokens of `data`, nats.
absl::StatusOr<ValidationSample> validate(const model::Decoder& decoder,
                                          const text::SequenceReader& data, int64_t batch_sequences,
                                          int64_t chunk_tokens);

}  // namespace frugal::train
