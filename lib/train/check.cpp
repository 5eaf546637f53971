#include "train/check.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "base/hash.h"
#include "base/text.h"
#include "tensor/device.h"

namespace frugal::train {
namespace {

// Whether some token is predicted from one of its own document (losses.h counted_rows).
bool any_token_counts(const text::PackedTokens& data) {
  for (size_t i = 1; i < data.ids.size(); ++i) {
    const bool first = i % static_cast<size_t>(data.length) == 0;
    if (!first && data.loss_mask[i] != 0 && data.segments[i] == data.segments[i - 1]) return true;
  }
  return false;
}

template <typename T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// What a pass over the data finds.
struct Seen {
  text::TokenId least = std::numeric_limits<text::TokenId>::max();
  text::TokenId largest = std::numeric_limits<text::TokenId>::min();
  bool any_counts = false;
  base::KeyHasher hasher;

  void add(const text::PackedTokens& data) {
    const auto [low, high] = std::minmax_element(data.ids.begin(), data.ids.end());
    least = std::min(least, *low);
    largest = std::max(largest, *high);
    any_counts = any_counts || any_token_counts(data);
    hasher.add(bytes_of(data.ids)).add(bytes_of(data.segments)).add(bytes_of(data.loss_mask));
  }
};

}  // namespace

absl::StatusOr<std::string> check_data(const text::SequenceReader& data,
                                       const architecture::ModelConfig& config,
                                       std::string_view what) {
  const int64_t count = data.count(), length = data.tokens_each();
  if (count < 1 || length < 2) {
    return base::invalid_argument(what, ": ", count, " sequences of ", length,
                                  " tokens; at least one of two tokens is needed");
  }
  if (length - 1 > config.context_length) {
    return base::invalid_argument(what, ": sequences of ", length,
                                  " tokens do not fit the model's context of ",
                                  config.context_length);
  }
  constexpr int64_t kTokensAtATime = 1 << 16;
  const int64_t rows_at_a_time = std::max<int64_t>(1, kTokensAtATime / length);
  Seen seen;
  for (int64_t begin = 0; begin < count; begin += rows_at_a_time) {
    std::vector<int64_t> rows(static_cast<size_t>(std::min(rows_at_a_time, count - begin)));
    std::iota(rows.begin(), rows.end(), begin);
    absl::StatusOr<text::PackedTokens> some = data.read(rows);
    if (!some.ok()) return base::annotate(some.status(), what);
    seen.add(*some);
  }
  if (seen.least < 0 || seen.largest >= config.vocabulary_size) {
    return base::invalid_argument(what, ": ids from ", seen.least, " to ", seen.largest,
                                  ", the vocabulary has ", config.vocabulary_size,
                                  "; was it packed with another tokenizer?");
  }
  if (!seen.any_counts) {
    return base::invalid_argument(what, ": no token counts (the loss mask is 0 everywhere)");
  }
  return seen.hasher.hex();
}

absl::Status check_numbers(const TrainOptions& o) {
  const auto demand = [](bool good, std::string_view name, double value, std::string_view range) {
    return good ? absl::OkStatus()
                : base::invalid_argument("training: ", name, " = ", value, "; expected ", range);
  };
  FRUGAL_RETURN_IF_ERROR(
      demand(o.batch_sequences > 0, "batch_sequences", o.batch_sequences, "at least 1"));
  FRUGAL_RETURN_IF_ERROR(demand(o.accumulation > 0, "accumulation", o.accumulation, "at least 1"));
  FRUGAL_RETURN_IF_ERROR(demand(o.learning_rate > 0, "learning_rate", o.learning_rate, "above 0"));
  FRUGAL_RETURN_IF_ERROR(demand(o.temperature > 0, "temperature", o.temperature, "above 0"));
  FRUGAL_RETURN_IF_ERROR(demand(o.chunk_tokens > 0, "chunk_tokens", o.chunk_tokens, "at least 1"));
  FRUGAL_RETURN_IF_ERROR(demand(o.clip >= 0, "clip", o.clip, "0 (off) or more"));
  FRUGAL_RETURN_IF_ERROR(demand(o.warmup_steps >= 0, "warmup_steps", o.warmup_steps, "0 or more"));
  return demand(o.distillation_weight >= 0 && o.distillation_weight <= 1, "distillation_weight",
                o.distillation_weight, "0 to 1");
}

absl::Status check_models(const model::Decoder& student, const model::Decoder* teacher,
                          const TrainOptions& options) {
  if (student.type() != at::kFloat) {
    return base::invalid_argument("training: the student's weights are ",
                                  at::toString(student.type()),
                                  "; load it in fp32 (autocast computes in bf16 where asked)");
  }
  if (options.distillation_weight == 0) return absl::OkStatus();
  if (teacher == nullptr) {
    return base::invalid_argument("training: distillation_weight = ", options.distillation_weight,
                                  " needs a teacher");
  }
  if (teacher->config().vocabulary_size != student.config().vocabulary_size) {
    return base::invalid_argument("training: the teacher's vocabulary has ",
                                  teacher->config().vocabulary_size, " ids, the student's ",
                                  student.config().vocabulary_size,
                                  "; distillation compares them id by id");
  }
  if (teacher->device() != student.device()) {
    return base::invalid_argument("training: teacher on ", teacher->device().str(), ", student on ",
                                  student.device().str());
  }
  return absl::OkStatus();
}

absl::StatusOr<Precision> resolve_precision(Precision wanted, const at::Device& device) {
  const bool native = device.is_cuda() || tensor::cpu_has_native_bf16();
  if (wanted == Precision::kAuto) return native ? Precision::kBf16 : Precision::kFp32;
  if (wanted == Precision::kBf16 && !native) {
    return base::invalid_argument(
        "training: precision bf16, but this CPU has no bf16 products (AVX512_BF16); use fp32");
  }
  return wanted;
}

}  // namespace frugal::train
