#include "evaluate/divergence.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "base/interrupt.h"
#include "base/progress.h"
#include "tensor/guard.h"

namespace frugal::evaluate {
namespace {

// What is known of every scored position, [N] fp64 each, N = windows of the batch x scored
// positions.
struct Positions {
  at::Tensor kl, same_top, delta_p, acceptance, nll, reference_nll;
};

// Ids of the windows begin..begin+count-1 [count, L], and their scored targets [count * scored].
struct WindowBatch {
  at::Tensor ids, targets;
  int64_t scored = 0;  // per window
};

WindowBatch window_batch(const ScoredWindows& windows, int64_t begin, int64_t count,
                         const at::Device& device) {
  const int64_t length = windows.protocol.window_length;
  at::Tensor ids = at::empty({count, length}, at::kLong);
  std::copy_n(windows.ids.begin() + begin * length, count * length, ids.data_ptr<int64_t>());
  ids = ids.to(device);
  const int64_t scored = windows.protocol.scored_per_window();
  return {ids, ids.narrow(1, length - scored, scored).flatten(), scored};
}

// Final hidden states at the positions that predict a scored token: [count * scored, C].
at::Tensor predicting_hidden(const model::Decoder& decoder, const WindowBatch& batch) {
  const at::Tensor hidden = decoder.hidden({.ids = batch.ids, .positions = {}, .segments = {}});
  return hidden.narrow(1, batch.ids.size(1) - batch.scored - 1, batch.scored).flatten(0, 1);
}

Positions compare(const at::Tensor& logits, const at::Tensor& reference_logits,
                  const at::Tensor& targets) {
  const at::Tensor log_p = reference_logits.to(at::kDouble).log_softmax(-1);
  const at::Tensor log_q = logits.to(at::kDouble).log_softmax(-1);
  const at::Tensor p = log_p.exp(), q = log_q.exp();
  const auto of_target = [index = targets.unsqueeze(1)](const at::Tensor& values) {
    return values.gather(1, index).squeeze(1);
  };
  // Where p underflows to 0 its term is 0 whatever q is.
  const at::Tensor terms = p * (log_p - log_q);
  return {.kl = terms.masked_fill(p.eq(0), 0.0).sum(-1),
          .same_top = logits.argmax(-1).eq(reference_logits.argmax(-1)).to(at::kDouble),
          .delta_p = of_target(q) - of_target(p),
          .acceptance = at::minimum(p, q).sum(-1),
          .nll = of_target(log_q).neg(),
          .reference_nll = of_target(log_p).neg()};
}

// Runs both models over one batch; both heads walk the same slices.
std::vector<Positions> run_batch(const model::Decoder& model, const model::Decoder& reference,
                                 const WindowBatch& batch, int64_t rows) {
  const c10::InferenceMode inference;
  const at::Tensor hidden = predicting_hidden(model, batch);
  const at::Tensor reference_hidden = predicting_hidden(reference, batch);
  std::vector<Positions> parts;
  for_each_logits(model, hidden, rows, [&](int64_t begin, const at::Tensor& logits) {
    const int64_t count = logits.size(0);
    for_each_logits(
        reference, reference_hidden.narrow(0, begin, count), count,
        [&](int64_t, const at::Tensor& reference_logits) {
          parts.push_back(compare(logits, reference_logits, batch.targets.narrow(0, begin, count)));
        });
  });
  return parts;
}

// The positions' values behind each other on the CPU, by position.
struct Columns {
  std::vector<double> kl, same_top, delta_p, acceptance, nll, reference_nll;
};

void append(std::vector<double>& column, const at::Tensor& values) {
  const at::Tensor host = values.to(at::kCPU, at::kDouble).contiguous();
  column.insert(column.end(), host.const_data_ptr<double>(),
                host.const_data_ptr<double>() + host.numel());
}

void append(Columns& columns, const Positions& positions) {
  append(columns.kl, positions.kl);
  append(columns.same_top, positions.same_top);
  append(columns.delta_p, positions.delta_p);
  append(columns.acceptance, positions.acceptance);
  append(columns.nll, positions.nll);
  append(columns.reference_nll, positions.reference_nll);
}

std::vector<WindowDivergence> window_items(const Columns& columns, int64_t windows,
                                           int64_t scored) {
  std::vector<WindowDivergence> result(static_cast<size_t>(windows));
  for (size_t w = 0; w < result.size(); ++w) {
    const size_t begin = w * static_cast<size_t>(scored);
    const auto part = [&](const std::vector<double>& column) {
      return mean(std::span(column).subspan(begin, static_cast<size_t>(scored)));
    };
    double squares = 0.0;
    for (size_t i = begin; i < begin + static_cast<size_t>(scored); ++i) {
      squares += columns.delta_p[i] * columns.delta_p[i];
    }
    result[w] = {.kl = part(columns.kl),
                 .same_top = part(columns.same_top),
                 .delta_p_squared = squares / static_cast<double>(scored),
                 .expected_acceptance = part(columns.acceptance),
                 .nll = part(columns.nll),
                 .reference_nll = part(columns.reference_nll)};
  }
  return result;
}

std::vector<double> column_of(const std::vector<WindowDivergence>& items,
                              const std::function<double(const WindowDivergence&)>& field) {
  std::vector<double> result;
  result.reserve(items.size());
  for (const WindowDivergence& item : items) result.push_back(field(item));
  return result;
}

void set_percentiles(Divergence& result, std::vector<double> kl) {
  std::sort(kl.begin(), kl.end());
  result.median = quantile_of_sorted(kl, 0.5);
  result.percentile_90 = quantile_of_sorted(kl, 0.9);
  result.percentile_95 = quantile_of_sorted(kl, 0.95);
  result.percentile_99 = quantile_of_sorted(kl, 0.99);
  result.percentile_99_9 = quantile_of_sorted(kl, 0.999);
  result.maximum = kl.back();
}

Perplexity perplexity_of(const ScoredWindows& windows, std::vector<double> mean_nll,
                         base::RandomStream random) {
  for (double& nll : mean_nll) nll *= static_cast<double>(windows.protocol.scored_per_window());
  return summarize_perplexity(windows, std::move(mean_nll), random);
}

Divergence summarize(const ScoredWindows& windows, const Columns& columns,
                     base::RandomStream random) {
  Divergence result;
  result.windows = windows.count;
  result.positions = static_cast<int64_t>(columns.kl.size());
  result.items = window_items(columns, windows.count, windows.protocol.scored_per_window());
  const auto kl = column_of(result.items, [](const auto& item) { return item.kl; });
  const auto same_top = column_of(result.items, [](const auto& item) { return item.same_top; });
  const auto ratio =
      column_of(result.items, [](const auto& item) { return item.nll - item.reference_nll; });
  result.mean_kl = mean(kl);
  result.standard_error = standard_error(kl);
  result.interval = bootstrap_mean_interval(kl, random);
  result.same_top = mean(same_top);
  result.same_top_interval = bootstrap_mean_interval(same_top, random);
  result.delta_p_rms = std::sqrt(
      mean(column_of(result.items, [](const auto& item) { return item.delta_p_squared; })));
  result.expected_acceptance =
      mean(column_of(result.items, [](const auto& item) { return item.expected_acceptance; }));
  result.ln_perplexity_ratio = mean(ratio);
  result.ln_perplexity_ratio_error = standard_error(ratio);
  set_percentiles(result, columns.kl);
  result.model = perplexity_of(
      windows, column_of(result.items, [](const auto& item) { return item.nll; }), random);
  result.reference = perplexity_of(
      windows, column_of(result.items, [](const auto& item) { return item.reference_nll; }),
      random);
  return result;
}

absl::Status check_pair(const model::Decoder& model, const model::Decoder& reference,
                        const ScoredWindows& windows) {
  FRUGAL_RETURN_IF_ERROR(check_context(windows.protocol, model.config().context_length));
  FRUGAL_RETURN_IF_ERROR(base::annotate(
      check_context(windows.protocol, reference.config().context_length), "reference"));
  const int64_t vocabulary = model.config().vocabulary_size;
  if (vocabulary != reference.config().vocabulary_size) {
    return base::invalid_argument("KL divergence: the model has ", vocabulary,
                                  " ids, the reference ", reference.config().vocabulary_size,
                                  "; both must share one vocabulary");
  }
  const auto outside = [&](text::TokenId id) { return id < 0 || id >= vocabulary; };
  if (std::any_of(windows.ids.begin(), windows.ids.end(), outside)) {
    return base::invalid_argument("KL divergence: the text has ids outside the vocabulary of ",
                                  vocabulary, "; does the tokenizer belong to this model?");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Divergence> divergence(const model::Decoder& model, const model::Decoder& reference,
                                      const ScoredWindows& windows, base::RandomStream random,
                                      const ScoreOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_pair(model, reference, windows));
  // Logits of both models, in fp64 and with their exponentials: eight times the bytes of a plain
  // slice.
  const int64_t rows = std::max<int64_t>(1, head_rows(model.config().vocabulary_size, options) / 8);
  const int64_t step = std::max<int64_t>(1, options.batch);
  std::unique_ptr<base::Progress> progress;
  if (!options.title.empty()) {
    progress = std::make_unique<base::Progress>(options.title, "windows", windows.count);
  }
  Columns columns;
  for (int64_t begin = 0; begin < windows.count; begin += step) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const int64_t count = std::min(step, windows.count - begin);
    FRUGAL_RETURN_IF_ERROR(tensor::guarded("comparing with the reference", [&] {
      const WindowBatch batch = window_batch(windows, begin, count, model.device());
      for (const Positions& part : run_batch(model, reference, batch, rows)) append(columns, part);
    }));
    if (progress) progress->advance(count);
  }
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!std::all_of(columns.kl.begin(), columns.kl.end(), finite)) {
    return base::failed(
        "KL divergence: a value is not finite; the logits of one of the models overflow");
  }
  return summarize(windows, columns, random);
}

}  // namespace frugal::evaluate
