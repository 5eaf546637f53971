// Tested by: tests/train/trainer_test.cpp
#include "train/validation.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "tensor/aten.h"
#include "tensor/guard.h"
#include "train/batches.h"
#include "train/check.h"
#include "train/losses.h"

namespace frugal::train {

absl::StatusOr<ValidationSample> validate(const model::Decoder& decoder,
                                          const text::SequenceReader& data, int64_t batch_sequences,
                                          int64_t chunk_tokens) {
  FRUGAL_RETURN_IF_ERROR(check_data(data, decoder.config(), "validation data").status());
  return tensor::guarded("validating", [&]() -> absl::StatusOr<ValidationSample> {
    const at::NoGradGuard no_grad;
    ValidationSample sample;
    double sum = 0;
    for (int64_t begin = 0; begin < data.count(); begin += batch_sequences) {
      std::vector<int64_t> rows;
      for (int64_t i = begin; i < std::min(begin + batch_sequences, data.count()); ++i)
        rows.push_back(i);
      FRUGAL_ASSIGN_OR_RETURN(const TrainBatch batch, read_batch(data, rows, decoder.device()));
      LossInput input;
      input.hidden = decoder.hidden(batch.inputs).flatten(0, 1).index_select(0, batch.places);
      input.head = decoder.head();
      input.targets = batch.targets;
      sum += head_loss(input, {.chunk_tokens = chunk_tokens}, 1.0).cross_entropy.item<double>();
      sample.tokens += batch.targets.size(0);
    }
    sample.cross_entropy = sum / static_cast<double>(sample.tokens);
    return sample;
  });
}

}  // namespace frugal::train
