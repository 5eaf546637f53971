#include "evaluate/divergence.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>

#include "base/interrupt.h"
#include "base/progress.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::evaluate {
namespace {

// What is known of every scored position, [N] fp64 each, N = windows of the batch x scored
// positions.
struct Positions {
  at::Tensor kl, same_top, delta_p, acceptance, nll, reference_nll;
};

// Final hidden states at the positions that predict a scored token: [N, C].
at::Tensor predicting_hidden(const model::Decoder& decoder, const PaddedBatch& batch) {
  const at::Tensor hidden =
      decoder.hidden({.ids = batch.ids, .positions = {}, .segments = {}}).flatten(0, 1);
  return hidden.index_select(0, batch.rows);
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
                                 const PaddedBatch& batch, int64_t rows) {
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

// The means of the positions begin..begin+tokens-1.
WindowDivergence window_item(const Columns& columns, size_t begin, size_t tokens,
                             int64_t document) {
  const auto part = [&](const std::vector<double>& column) {
    return mean(std::span(column).subspan(begin, tokens));
  };
  const auto square = [&](const std::vector<double>& column) {
    const auto values = std::span(column).subspan(begin, tokens);
    return std::inner_product(values.begin(), values.end(), values.begin(), 0.0) /
           static_cast<double>(tokens);
  };
  return {.tokens = static_cast<int64_t>(tokens),
          .document = document,
          .kl = part(columns.kl),
          .same_top = part(columns.same_top),
          .delta_p = part(columns.delta_p),
          .delta_p_squared = square(columns.delta_p),
          .expected_acceptance = part(columns.acceptance),
          .nll = part(columns.nll),
          .reference_nll = part(columns.reference_nll),
          .nll_squared = square(columns.nll),
          .reference_nll_squared = square(columns.reference_nll)};
}

// A mean over tokens whose units of uncertainty are documents, which may differ in length: sum of
// sums / sum of tokens.
struct TokenMean {
  std::vector<double> sums, tokens;  // of each document

  TokenMean(const std::vector<WindowDivergence>& items,
            const std::function<double(const WindowDivergence&)>& field) {
    std::vector<int64_t> documents;
    for (const WindowDivergence& item : items) {
      tokens.push_back(static_cast<double>(item.tokens));
      sums.push_back(field(item) * tokens.back());
      documents.push_back(item.document);
    }
    sums = sums_by_group(sums, documents);
    tokens = sums_by_group(tokens, documents);
  }
  double value() const { return mean(sums) / mean(tokens); }
  // Of the ratio, linearized: the standard error of the mean of sum - value * tokens, by the mean
  // length.
  double error() const {
    std::vector<double> residuals(sums.size());
    for (size_t w = 0; w < sums.size(); ++w) residuals[w] = sums[w] - value() * tokens[w];
    return standard_error(residuals) / mean(tokens);
  }
  std::optional<Interval> interval(const base::RandomStream& random) const {
    return bootstrap_ratio_interval(sums, tokens, random);
  }
};

void set_percentiles(Divergence& result, std::vector<double> kl) {
  std::sort(kl.begin(), kl.end());
  result.percentile_1 = quantile_of_sorted(kl, 0.01);
  result.percentile_5 = quantile_of_sorted(kl, 0.05);
  result.percentile_10 = quantile_of_sorted(kl, 0.1);
  result.percentile_25 = quantile_of_sorted(kl, 0.25);
  result.percentile_75 = quantile_of_sorted(kl, 0.75);
  result.median = quantile_of_sorted(kl, 0.5);
  result.percentile_90 = quantile_of_sorted(kl, 0.9);
  result.percentile_95 = quantile_of_sorted(kl, 0.95);
  result.percentile_99 = quantile_of_sorted(kl, 0.99);
  result.percentile_99_9 = quantile_of_sorted(kl, 0.999);
  result.maximum = kl.back();
}

Divergence summarize(const ScoredWindows& windows, std::vector<WindowDivergence> items,
                     std::vector<double> kl_of_positions, const base::RandomStream& random) {
  Divergence result = summarize_divergence(std::move(items), random);
  result.windows = windows.count();
  result.positions = static_cast<int64_t>(kl_of_positions.size());
  set_percentiles(result, std::move(kl_of_positions));
  std::vector<double> nll, reference_nll;
  double nll_squares = 0.0, reference_squares = 0.0;
  for (const WindowDivergence& item : result.items) {
    const double tokens = static_cast<double>(item.tokens);
    nll.push_back(item.nll * tokens);
    reference_nll.push_back(item.reference_nll * tokens);
    nll_squares += item.nll_squared * tokens;
    reference_squares += item.reference_nll_squared * tokens;
  }
  result.model = summarize_perplexity(windows, std::move(nll), random, nll_squares);
  result.reference =
      summarize_perplexity(windows, std::move(reference_nll), random, reference_squares);
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
  return absl::OkStatus();
}

// Rows of a slice: logits of both models, in fp64 and with their exponentials, are eight times the
// bytes of a plain slice.
int64_t compared_rows(int64_t vocabulary, const ScoreOptions& options) {
  return std::max<int64_t>(1, head_rows(vocabulary, options) / 8);
}

absl::Status check_finite(const std::vector<double>& kl) {
  const auto finite = [](double value) { return std::isfinite(value); };
  if (std::all_of(kl.begin(), kl.end(), finite)) return absl::OkStatus();
  return base::failed(
      "KL divergence: a value is not finite; the logits of one of the models overflow");
}

// One window of a model elsewhere: whatever parts its logits come in, the reference's head walks
// them in slices.
absl::Status compare_window(const LogitSource& model, const model::Decoder& reference,
                            std::span<const Sequence> sequences, size_t member, int64_t rows,
                            Columns& columns) {
  at::Tensor hidden;
  PaddedBatch batch;
  const size_t members[] = {member};
  FRUGAL_RETURN_IF_ERROR(tensor::guarded("the reference's forward", [&] {
    const c10::InferenceMode inference;
    batch = pad(sequences, members, reference.device());
    hidden = predicting_hidden(reference, batch);
  }));
  int64_t next = 0;
  const auto compare_part = [&](int64_t begin, const at::Tensor& logits) -> absl::Status {
    if (begin != next || begin + logits.size(0) > hidden.size(0) ||
        logits.size(1) != reference.config().vocabulary_size) {
      return base::failed("KL divergence: the model gives ", logits.size(0), " rows of ",
                          logits.size(1), " logits from position ", begin, " on, expected rows of ",
                          reference.config().vocabulary_size, " from ", next, " on");
    }
    next += logits.size(0);
    return tensor::guarded("comparing with the reference", [&] {
      const c10::InferenceMode inference;
      for_each_logits(reference, hidden.narrow(0, begin, logits.size(0)), rows,
                      [&](int64_t at, const at::Tensor& own) {
                        append(columns,
                               compare(logits.narrow(0, at, own.size(0)).to(own.device()), own,
                                       batch.targets.narrow(0, begin + at, own.size(0))));
                      });
    });
  };
  FRUGAL_RETURN_IF_ERROR(model(sequences[member], compare_part));
  if (next == hidden.size(0)) return absl::OkStatus();
  return base::failed("KL divergence: the model gives logits of ", next, " positions of a window, ",
                      hidden.size(0), " were asked for");
}

}  // namespace

Divergence summarize_divergence(std::vector<WindowDivergence> items,
                                const base::RandomStream& random) {
  Divergence result;
  const TokenMean kl(items, [](const auto& item) { return item.kl; });
  const TokenMean same_top(items, [](const auto& item) { return item.same_top; });
  const TokenMean ratio(items, [](const auto& item) { return item.nll - item.reference_nll; });
  result.mean_kl = kl.value();
  result.standard_error = kl.error();
  result.interval = kl.interval(random);
  result.same_top = same_top.value();
  result.same_top_interval = same_top.interval(random);
  const TokenMean delta_p(items, [](const auto& item) { return item.delta_p; });
  const TokenMean squares(items, [](const auto& item) { return item.delta_p_squared; });
  const TokenMean acceptance(items, [](const auto& item) { return item.expected_acceptance; });
  result.delta_p = delta_p.value();
  result.delta_p_error = delta_p.error();
  result.delta_p_rms = std::sqrt(squares.value());
  result.delta_p_rms_error =
      result.delta_p_rms > 0.0 ? squares.error() / (2.0 * result.delta_p_rms) : 0.0;
  result.expected_acceptance = acceptance.value();
  result.expected_acceptance_interval = acceptance.interval(random);
  result.ln_perplexity_ratio = ratio.value();
  result.ln_perplexity_ratio_error = ratio.error();
  for (double* unknown :
       {&result.percentile_1, &result.percentile_5, &result.percentile_10, &result.percentile_25,
        &result.percentile_75, &result.median, &result.percentile_90, &result.percentile_95,
        &result.percentile_99, &result.percentile_99_9, &result.maximum})
    *unknown = kNaN;
  result.items = std::move(items);
  return result;
}

absl::StatusOr<Divergence> divergence(const model::Decoder& model, const model::Decoder& reference,
                                      const ScoredWindows& windows, base::RandomStream random,
                                      const ScoreOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_pair(model, reference, windows));
  const int64_t rows = compared_rows(model.config().vocabulary_size, options);
  const size_t step = static_cast<size_t>(std::max<int64_t>(1, options.batch));
  const std::vector<Sequence> sequences = sequences_of(windows);
  FRUGAL_RETURN_IF_ERROR(check_sequences(sequences, model.config()));
  const std::vector<size_t> order = by_length(sequences);
  std::unique_ptr<base::Progress> progress;
  if (!options.title.empty()) {
    progress = std::make_unique<base::Progress>(options.title, "windows", windows.count());
  }
  std::vector<WindowDivergence> items(sequences.size());
  std::vector<double> kl;
  for (size_t begin = 0; begin < order.size(); begin += step) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    const std::span<const size_t> members(order.data() + begin,
                                          std::min(step, order.size() - begin));
    Columns columns;
    FRUGAL_RETURN_IF_ERROR(tensor::guarded("comparing with the reference", [&] {
      const PaddedBatch batch = pad(sequences, members, model.device());
      for (const Positions& part : run_batch(model, reference, batch, rows)) append(columns, part);
    }));
    size_t at = 0;
    for (const size_t member : members) {
      items[member] =
          window_item(columns, at, sequences[member].queries.size(), windows.document[member]);
      at += sequences[member].queries.size();
    }
    kl.insert(kl.end(), columns.kl.begin(), columns.kl.end());
    if (progress) progress->advance(static_cast<int64_t>(members.size()));
  }
  FRUGAL_RETURN_IF_ERROR(check_finite(kl));
  return summarize(windows, std::move(items), std::move(kl), random);
}

absl::StatusOr<Divergence> divergence(const LogitSource& model, const model::Decoder& reference,
                                      const ScoredWindows& windows, base::RandomStream random,
                                      const ScoreOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_context(windows.protocol, reference.config().context_length));
  const int64_t rows = compared_rows(reference.config().vocabulary_size, options);
  const std::vector<Sequence> sequences = sequences_of(windows);
  FRUGAL_RETURN_IF_ERROR(check_sequences(sequences, reference.config()));
  std::unique_ptr<base::Progress> progress;
  if (!options.title.empty()) {
    progress = std::make_unique<base::Progress>(options.title, "windows", windows.count());
  }
  std::vector<WindowDivergence> items;
  std::vector<double> kl;
  for (size_t member = 0; member < sequences.size(); ++member) {
    FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
    Columns columns;
    FRUGAL_RETURN_IF_ERROR(compare_window(model, reference, sequences, member, rows, columns));
    items.push_back(window_item(columns, 0, columns.kl.size(), windows.document[member]));
    kl.insert(kl.end(), columns.kl.begin(), columns.kl.end());
    if (progress) progress->advance(1);
  }
  FRUGAL_RETURN_IF_ERROR(check_finite(kl));
  return summarize(windows, std::move(items), std::move(kl), random);
}

}  // namespace frugal::evaluate
