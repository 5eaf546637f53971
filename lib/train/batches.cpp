#include "train/batches.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/random.h"
#include "base/text.h"
#include "tensor/aten.h"
#include "train/losses.h"

namespace frugal::train {
namespace {

// Rows of a [sequences, length] array as a tensor of `To`.
template <typename To, typename From>
at::Tensor gather_rows(const std::vector<From>& values, int64_t length,
                       const std::vector<int64_t>& rows) {
  at::Tensor result =
      at::empty({static_cast<int64_t>(rows.size()), length}, c10::CppTypeToScalarType<To>::value);
  To* out = result.mutable_data_ptr<To>();
  for (const int64_t row : rows) {
    out = std::copy_n(values.begin() + row * length, length, out);
  }
  return result;
}

// Every row is one document with padding behind it: plain causal attention is right, padding is
// never looked at.
bool one_document_each(const at::Tensor& segments) {
  const int32_t* at = segments.const_data_ptr<int32_t>();
  const int64_t length = segments.size(1);
  for (int64_t row = 0; row < segments.size(0); ++row, at += length) {
    if (!std::is_sorted(at, at + length, std::greater<>()) || at[0] > 0) return false;
  }
  return true;
}

}  // namespace

TrainBatch make_batch(const text::PackedTokens& data, const std::vector<int64_t>& rows,
                      const at::Device& device) {
  const int64_t last = data.length - 1;
  const at::Tensor ids = gather_rows<int64_t>(data.ids, data.length, rows);
  const at::Tensor segments = gather_rows<int32_t>(data.segments, data.length, rows);
  const at::Tensor mask = gather_rows<uint8_t>(data.loss_mask, data.length, rows);
  const CountedRows counted = counted_rows(ids, mask, segments);
  TrainBatch batch;
  batch.inputs.ids = ids.narrow(1, 0, last).contiguous().to(device);
  if (!one_document_each(segments)) {
    batch.inputs.positions =
        gather_rows<int64_t>(data.positions, data.length, rows).narrow(1, 0, last).to(device);
    batch.inputs.segments = segments.narrow(1, 0, last).to(device);
  }
  batch.places = counted.places.to(device);
  batch.targets = counted.targets.to(device);
  return batch;
}

absl::StatusOr<TrainBatch> read_batch(const text::SequenceReader& data,
                                      const std::vector<int64_t>& rows, const at::Device& device) {
  FRUGAL_ASSIGN_OR_RETURN(const text::PackedTokens batch, data.read(rows));
  std::vector<int64_t> all(rows.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  return make_batch(batch, all, device);
}

std::vector<int64_t> DataOrder::rows(int64_t first, int64_t count) {
  std::vector<int64_t> result;
  for (int64_t i = first; i < first + count; ++i) {
    if (i / sequences_ != epoch_) {
      epoch_ = i / sequences_;
      permutation_.resize(static_cast<size_t>(sequences_));
      std::iota(permutation_.begin(), permutation_.end(), int64_t{0});
      base::RandomStream(seed_, base::str_cat("train/order/epoch-", epoch_))
          .shuffle(std::span(permutation_));
    }
    result.push_back(permutation_[static_cast<size_t>(i % sequences_)]);
  }
  return result;
}

}  // namespace frugal::train
