#include "model/generate.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

#include "base/interrupt.h"
#include "base/text.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::model {
namespace {

using text::TokenId;
using Sequences = std::vector<std::vector<TokenId>>;

constexpr size_t kRowsPerBatch = 64;

absl::Status check(const Decoder& decoder, const Sequences& prompts,
                   const GenerateOptions& options) {
  const int64_t context = decoder.config().context_length;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) {
      return base::invalid_argument("prompt ", i,
                                    " is empty: generation needs at least one id (BOS)");
    }
    const auto length = static_cast<int64_t>(prompts[i].size());
    if (length + options.max_new_tokens > context) {
      return base::invalid_argument(
          "prompt ", i, " has ", length, " ids; with max_new_tokens = ", options.max_new_tokens,
          " that is more than the model's context of ", context, " tokens");
    }
    for (const TokenId id : prompts[i]) {
      if (id < 0 || id >= decoder.config().vocabulary_size) {
        return base::invalid_argument("prompt ", i, " holds id ", id, ", the vocabulary has ",
                                      decoder.config().vocabulary_size);
      }
    }
  }
  if (options.max_new_tokens < 0 || options.temperature < 0 ||
      !(options.top_p > 0 && options.top_p <= 1)) {
    return base::invalid_argument("generation: max_new_tokens = ", options.max_new_tokens,
                                  ", temperature = ", options.temperature,
                                  ", top_p = ", options.top_p,
                                  "; expected >= 0, >= 0 and in (0, 1]");
  }
  return absl::OkStatus();
}

// Right-aligned prompts, so that all rows' next tokens stand in one column; `padding` counts the
// empty places in front.
struct Prompts {
  at::Tensor ids, positions;  // [B, T] int64
  at::Tensor padding;         // [B] int64
  bool padded = false;
};

Prompts align(std::span<const std::vector<TokenId>> prompts) {
  size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  const auto rows = static_cast<int64_t>(prompts.size()), length = static_cast<int64_t>(longest);
  Prompts result;
  result.ids = at::zeros({rows, length}, at::kLong);
  result.padding = at::zeros({rows}, at::kLong);
  auto ids = result.ids.accessor<int64_t, 2>();
  auto padding = result.padding.accessor<int64_t, 1>();
  for (int64_t row = 0; row < rows; ++row) {
    const auto& prompt = prompts[static_cast<size_t>(row)];
    const int64_t gap = length - static_cast<int64_t>(prompt.size());
    padding[row] = gap;
    result.padded |= gap > 0;
    for (size_t t = 0; t < prompt.size(); ++t) ids[row][gap + static_cast<int64_t>(t)] = prompt[t];
  }
  result.positions =
      (at::arange(length, at::kLong).unsqueeze(0) - result.padding.unsqueeze(1)).clamp_min_(0);
  return result;
}

// bool [B, 1, T, T]: causal, no padding seen except by itself (a row that sees nothing would be
// NaN).
at::Tensor prompt_mask(const at::Tensor& padding, int64_t length) {
  const at::Tensor column = at::arange(length, padding.options());
  const at::Tensor causal = column.unsqueeze(0) <= column.unsqueeze(1);
  const at::Tensor itself = column.unsqueeze(0) == column.unsqueeze(1);
  const at::Tensor real = (column.unsqueeze(0) >= padding.unsqueeze(1)).unsqueeze(1);
  return (real.logical_and(causal)).logical_or(itself).unsqueeze(1);
}

// An index by its weight. Throws where a weight is no number.
size_t draw(std::span<const double> weights, double total, base::RandomStream& random) {
  if (!std::isfinite(total)) throw std::runtime_error("the logits are no numbers");
  return random.weighted(weights);
}

// One id of a row of logits [V]: softmax at `temperature`.
TokenId sample_any(std::span<const float> logits, double temperature, base::RandomStream& random) {
  const double highest = *std::ranges::max_element(logits);
  std::vector<double> weights(logits.size());
  double total = 0;
  for (size_t id = 0; id < logits.size(); ++id)
    total += weights[id] = std::exp((logits[id] - highest) / temperature);
  return static_cast<TokenId>(draw(weights, total, random));
}

// The same, cut to the smallest set that holds `top_p`.
TokenId sample(std::span<const float> logits, const GenerateOptions& options,
               base::RandomStream& random) {
  if (options.top_p == 1) return sample_any(logits, options.temperature, random);
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> weights(order.size());
  double total = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    weights[i] =
        std::exp((static_cast<double>(logits[order[i]]) - logits[order[0]]) / options.temperature);
    total += weights[i];
  }
  size_t kept = 0;
  for (double sum = 0; kept < weights.size() && sum < options.top_p * total;)
    sum += weights[kept++];
  return static_cast<TokenId>(
      order[draw(std::span<const double>(weights).first(kept), total, random)]);
}

std::vector<TokenId> choose(const at::Tensor& logits, const GenerateOptions& options,
                            std::span<base::RandomStream> streams) {
  std::vector<TokenId> chosen(static_cast<size_t>(logits.size(0)));
  if (options.temperature == 0) {
    const at::Tensor best = logits.argmax(-1).to(at::kCPU);
    for (size_t row = 0; row < chosen.size(); ++row) {
      chosen[row] = static_cast<TokenId>(best.const_data_ptr<int64_t>()[row]);
    }
    return chosen;
  }
  const at::Tensor plain = logits.to(at::kCPU).contiguous();
  const auto width = static_cast<size_t>(plain.size(1));
  for (size_t row = 0; row < chosen.size(); ++row) {
    chosen[row] =
        sample({plain.const_data_ptr<float>() + row * width, width}, options, streams[row]);
  }
  return chosen;
}

// One batch of prompts on its way.
class Generation {
 public:
  Generation(const Decoder& decoder, const GenerateOptions& options,
             std::span<const std::vector<TokenId>> prompts, std::span<base::RandomStream> streams,
             size_t first_prompt)
      : decoder_(decoder),
        options_(options),
        first_prompt_(first_prompt),
        prompts_(align(prompts)),
        streams_(streams),
        results_(prompts.size()),
        finished_(prompts.size(), false) {
    prompts_.ids = prompts_.ids.to(decoder.device());
    prompts_.positions = prompts_.positions.to(decoder.device());
    prompts_.padding = prompts_.padding.to(decoder.device());
    // The last token is not read.
    cache_.planned_lengths = prompts_.ids.size(1) - prompts_.padding + (options.max_new_tokens - 1);
  }

  absl::StatusOr<Sequences> run() {
    at::Tensor next = last_logits(first_batch());
    for (int64_t step = 0; step < options_.max_new_tokens; ++step) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      const std::vector<TokenId> chosen = choose(next, options_, streams_);
      if (!record(chosen) || step + 1 == options_.max_new_tokens) break;
      next = last_logits(next_batch(chosen));
    }
    return std::move(results_);
  }

 private:
  Batch first_batch() const {
    if (!prompts_.padded) return {prompts_.ids, {}};
    return {
        prompts_.ids, prompts_.positions, {}, prompt_mask(prompts_.padding, prompts_.ids.size(1))};
  }

  Batch next_batch(const std::vector<TokenId>& chosen) const {
    const at::Tensor ids = at::tensor(std::vector<int64_t>(chosen.begin(), chosen.end()), at::kLong)
                               .unsqueeze(1)
                               .to(decoder_.device());
    if (!prompts_.padded) return {ids, {}};
    const int64_t length = cache_.length();
    const at::Tensor visible = at::arange(length + 1, prompts_.padding.options()).unsqueeze(0) >=
                               prompts_.padding.unsqueeze(1);
    return {ids, length - prompts_.padding.unsqueeze(1), {}, visible.unsqueeze(1).unsqueeze(1)};
  }

  // Logits of the last place, [B, V]: the head is not asked for the others.
  at::Tensor last_logits(const Batch& batch) {
    const at::Tensor hidden = decoder_.hidden(batch, &cache_);
    return decoder_.logits_of(hidden.select(1, hidden.size(1) - 1));
  }

  // False when every row is done.
  bool record(const std::vector<TokenId>& chosen) {
    bool open = false;
    for (size_t row = 0; row < chosen.size(); ++row) {
      if (finished_[row]) continue;
      finished_[row] = !options_.ignore_stop &&
                       std::ranges::find(options_.stop, chosen[row]) != options_.stop.end();
      if (!finished_[row]) {
        results_[row].push_back(chosen[row]);
        if (options_.on_token != nullptr) options_.on_token(first_prompt_ + row, chosen[row]);
        finished_[row] = options_.ends != nullptr && options_.ends(results_[row]);
      }
      open |= !finished_[row];
    }
    return open;
  }

  const Decoder& decoder_;
  const GenerateOptions& options_;
  size_t first_prompt_;
  Prompts prompts_;
  std::span<base::RandomStream> streams_;
  KeyValueCache cache_;
  Sequences results_;
  std::vector<bool> finished_;
};

}  // namespace

std::vector<TokenId> stop_ids(const architecture::ModelConfig& config,
                              const text::Tokenizer& tokenizer) {
  std::vector<TokenId> stop;
  for (const int64_t id : config.eos_token_ids) stop.push_back(static_cast<TokenId>(id));
  if (tokenizer.vocabulary().eos) stop.push_back(*tokenizer.vocabulary().eos);
  return stop;
}

absl::StatusOr<Sequences> generate(const Decoder& decoder, const Sequences& prompts,
                                   const GenerateOptions& options, base::RandomStream random) {
  FRUGAL_RETURN_IF_ERROR(check(decoder, prompts, options));
  std::vector<base::RandomStream>
      streams;  // one per prompt: its draws do not depend on its neighbors
  for (size_t i = 0; i < prompts.size(); ++i) streams.emplace_back(random.next(), "model/generate");
  const c10::InferenceMode inference;
  Sequences results;
  for (size_t begin = 0; begin < prompts.size(); begin += kRowsPerBatch) {
    const size_t count = std::min(kRowsPerBatch, prompts.size() - begin);
    FRUGAL_ASSIGN_OR_RETURN(Sequences part, tensor::guarded("generating", [&] {
                              return Generation(decoder, options,
                                                std::span(prompts).subspan(begin, count),
                                                std::span(streams).subspan(begin, count), begin)
                                  .run();
                            }));
    for (auto& sequence : part) results.push_back(std::move(sequence));
  }
  return results;
}

}  // namespace frugal::model
