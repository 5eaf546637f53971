#include "evaluate/scoring.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/interrupt.h"
#include "base/progress.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::evaluate {
namespace {

constexpr int64_t kLogitBytes = int64_t{64} << 20;

absl::Status check_id(text::TokenId id, int64_t vocabulary, size_t sequence) {
  if (id >= 0 && id < vocabulary) return absl::OkStatus();
  return base::invalid_argument("sequence ", sequence, ": id ", id,
                                " is outside the model's vocabulary of ", vocabulary,
                                "; does the tokenizer belong to this model?");
}

absl::Status check_sequence(const Sequence& sequence, size_t index,
                            const architecture::ModelConfig& config) {
  const int64_t length = static_cast<int64_t>(sequence.ids.size());
  if (length == 0) return base::invalid_argument("sequence ", index, " is empty");
  if (length > config.context_length) {
    return base::invalid_argument("sequence ", index, " has ", length,
                                  " tokens, the model's context holds ", config.context_length,
                                  "; use shorter sequences");
  }
  for (const text::TokenId id : sequence.ids) {
    FRUGAL_RETURN_IF_ERROR(check_id(id, config.vocabulary_size, index));
  }
  for (const Query& query : sequence.queries) {
    FRUGAL_RETURN_IF_ERROR(check_id(query.target, config.vocabulary_size, index));
    if (query.position < 0 || query.position >= length) {
      return base::invalid_argument("sequence ", index, ": position ", query.position,
                                    " is asked for, it has ", length, " tokens");
    }
  }
  return absl::OkStatus();
}

// [N] fp64 on the CPU.
at::Tensor batch_log_probabilities(const model::Decoder& decoder, const PaddedBatch& batch,
                                   int64_t rows) {
  const c10::InferenceMode inference;
  const at::Tensor hidden =
      decoder.hidden({.ids = batch.ids, .positions = {}, .segments = {}}).flatten(0, 1);
  std::vector<at::Tensor> parts;
  for_each_logits(
      decoder, hidden.index_select(0, batch.rows), rows,
      [&](int64_t begin, const at::Tensor& logits) {
        const at::Tensor target = batch.targets.narrow(0, begin, logits.size(0));
        parts.push_back(logits.log_softmax(-1).gather(1, target.unsqueeze(1)).squeeze(1));
      });
  if (parts.empty()) return at::empty({0}, at::kDouble);
  return tensor::concatenate(parts).to(at::kCPU, at::kDouble).contiguous();
}

}  // namespace

Scorer scorer_of(const model::Decoder& decoder, const ScoreOptions& options) {
  return [&decoder, options](std::span<const Sequence> sequences) {
    return score(decoder, sequences, options);
  };
}

PaddedBatch pad(std::span<const Sequence> sequences, std::span<const size_t> members,
                const at::Device& device) {
  size_t length = 0, queries = 0;
  for (const size_t member : members) {
    length = std::max(length, sequences[member].ids.size());
    queries += sequences[member].queries.size();
  }
  const int64_t width = static_cast<int64_t>(length);
  at::Tensor ids = at::zeros({static_cast<int64_t>(members.size()), width}, at::kLong);
  at::Tensor rows = at::empty({static_cast<int64_t>(queries)}, at::kLong);
  at::Tensor targets = at::empty_like(rows);
  int64_t* row = rows.data_ptr<int64_t>();
  int64_t* target = targets.data_ptr<int64_t>();
  for (size_t b = 0; b < members.size(); ++b) {
    const Sequence& sequence = sequences[members[b]];
    std::copy(sequence.ids.begin(), sequence.ids.end(),
              ids.data_ptr<int64_t>() + static_cast<int64_t>(b) * width);
    for (const Query& query : sequence.queries) {
      *row++ = static_cast<int64_t>(b) * width + query.position;
      *target++ = query.target;
    }
  }
  return {ids.to(device), rows.to(device), targets.to(device)};
}

std::vector<size_t> by_length(std::span<const Sequence> sequences) {
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return sequences[a].ids.size() > sequences[b].ids.size();
  });
  return order;
}

absl::Status check_sequences(std::span<const Sequence> sequences,
                             const architecture::ModelConfig& config) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    FRUGAL_RETURN_IF_ERROR(check_sequence(sequences[i], i, config));
  }
  return absl::OkStatus();
}

int64_t head_rows(int64_t vocabulary, const ScoreOptions& options) {
  if (options.head_rows > 0) return options.head_rows;
  return std::max<int64_t>(1, kLogitBytes / (4 * std::max<int64_t>(1, vocabulary)));
}

void for_each_logits(const model::Decoder& decoder, const at::Tensor& hidden, int64_t rows,
                     const std::function<void(int64_t begin, const at::Tensor& logits)>& use) {
  for (int64_t begin = 0; begin < hidden.size(0); begin += rows) {
    const at::Tensor slice = hidden.narrow(0, begin, std::min(rows, hidden.size(0) - begin));
    use(begin, decoder.logits_of(slice));
  }
}

absl::StatusOr<std::vector<std::vector<double>>> score(const model::Decoder& decoder,
                                                       std::span<const Sequence> sequences,
                                                       const ScoreOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_sequences(sequences, decoder.config()));
  const int64_t rows = head_rows(decoder.config().vocabulary_size, options);
  const std::vector<size_t> order = by_length(sequences);
  const size_t step = static_cast<size_t>(std::max<int64_t>(1, options.batch));
  std::vector<std::vector<double>> result(sequences.size());
  std::unique_ptr<base::Progress> progress;
  if (!options.title.empty()) {
    progress = std::make_unique<base::Progress>(options.title, "sequences",
                                                static_cast<int64_t>(sequences.size()));
  }
  for (size_t begin = 0; begin < order.size(); begin += step) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const std::span<const size_t> members(order.data() + begin,
                                          std::min(step, order.size() - begin));
    FRUGAL_ASSIGN_OR_RETURN(const at::Tensor scores, tensor::guarded("scoring tokens", [&] {
                              return batch_log_probabilities(
                                  decoder, pad(sequences, members, decoder.device()), rows);
                            }));
    const double* value = scores.const_data_ptr<double>();
    for (const size_t member : members) {
      for (size_t q = 0; q < sequences[member].queries.size(); ++q) {
        if (!std::isfinite(*value)) {
          return base::failed("sequence ", member, ": the log-probability at position ",
                              sequences[member].queries[q].position,
                              " is not finite; the model's weights or activations overflow");
        }
        result[member].push_back(*value++);
      }
    }
    if (progress) progress->advance(static_cast<int64_t>(members.size()));
  }
  return result;
}

}  // namespace frugal::evaluate
