// Which sequences a step sees, as tensors.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "model/decoder.h"
#include "text/packing.h"

namespace frugal::train {

// One forward's worth of sequences.
struct TrainBatch {
  model::Batch
      inputs;  // ids [B, T-1] with positions; a mask only where a row holds several documents
  at::Tensor places;   // int64 [N]: of the flattened [B * (T-1)] places, those that count
  at::Tensor targets;  // int64 [N]
};

// The rows of `data`, on `device`.
TrainBatch make_batch(const text::PackedTokens& data, const std::vector<int64_t>& rows,
                      const at::Device& device);

// The same of sequences that must be read first. Errors: of reading.
absl::StatusOr<TrainBatch> read_batch(const text::SequenceReader& data,
                                      const std::vector<int64_t>& rows, const at::Device& device);

// Endless order over `sequences`: every epoch is a permutation of its own, a pure function of
// (seed, epoch). So a resumed run needs no generator state.
class DataOrder {
 public:
  DataOrder(int64_t sequences, uint64_t seed) : sequences_(sequences), seed_(seed) {}
  // Sequences number `first` to `first + count - 1` of the endless order.
  std::vector<int64_t> rows(int64_t first, int64_t count);

 private:
  int64_t sequences_;
  uint64_t seed_;
  int64_t epoch_ = -1;
  std::vector<int64_t> permutation_;  // of epoch_
};

}  // namespace frugal::train
