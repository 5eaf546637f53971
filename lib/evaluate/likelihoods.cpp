#include "evaluate/likelihoods.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/interrupt.h"
#include "base/progress.h"
#include "evaluate/shared_rows.h"
#include "model/rotary.h"
#include "tensor/aten.h"
#include "tensor/guard.h"

namespace frugal::evaluate {
namespace {

using Requests = std::vector<tasks::EncodedRequest>;

constexpr int64_t kTokensPerForward = 4096;

// Windows of attention are counted in the order of the row, not along a branch; where tables of
// positions depend on how long the sequence is, that of a row would be that of its longest branch.
SharingOptions sharing_of(const architecture::ModelConfig& config) {
  SharingOptions options;
  for (const architecture::Layer& layer : config.layers) {
    const architecture::Attention& attention = layer.attention;
    if (model::depends_on_length(attention.rope)) options.share = false;
    if (attention.window && (options.most_seen == 0 || *attention.window < options.most_seen))
      options.most_seen = *attention.window;
  }
  return options;
}

absl::Status check(std::span<const Requests> questions, const architecture::ModelConfig& config) {
  for (size_t q = 0; q < questions.size(); ++q) {
    for (const tasks::EncodedRequest& request : questions[q]) {
      const auto size = static_cast<int64_t>(request.ids.size());
      if (request.scored < 1 || request.scored >= size)
        return base::internal("question ", q, ": ", request.scored, " of ", size,
                              " ids are scored");
      if (size - 1 > config.context_length)
        return base::invalid_argument("question ", q, " has ", size - 1,
                                      " tokens, the model's context holds ", config.context_length);
      for (const text::TokenId id : request.ids) {
        if (id >= 0 && id < config.vocabulary_size) continue;
        return base::invalid_argument(
            "question ", q, ": id ", id, " is outside the model's vocabulary of ",
            config.vocabulary_size, "; does the tokenizer belong to this model?");
      }
    }
  }
  return absl::OkStatus();
}

// One forward of some rows of a group, padded on the right.
class Forward {
 public:
  Forward(const model::Decoder& decoder, std::span<const SharedRow> rows, int64_t prefix)
      : decoder_(decoder), rows_(rows), prefix_(prefix), width_(rows.front().size()) {
    for (const SharedRow& row : rows) {
      width_ = std::max(width_, row.size());
      forks_ = forks_ || row.forks();
    }
  }

  // [B, T, C]
  at::Tensor hidden(const model::KeyValueCache& shared) const {
    model::Batch batch{.ids = ids().to(decoder_.device()), .positions = {}};
    if (forks_) {
      batch.positions = places().to(decoder_.device());
      batch.mask = mask().to(decoder_.device());
    }
    if (prefix_ == 0) return decoder_.hidden(batch);
    model::KeyValueCache cache = repeated(shared);
    return decoder_.hidden(batch, &cache);
  }

 private:
  int64_t count() const { return static_cast<int64_t>(rows_.size()); }

  at::Tensor ids() const {
    at::Tensor ids = at::zeros({count(), width_}, at::kLong);
    for (int64_t b = 0; b < count(); ++b) {
      const auto& row = rows_[static_cast<size_t>(b)].ids;
      std::copy(row.begin(), row.end(), ids.data_ptr<int64_t>() + b * width_);
    }
    return ids;
  }

  at::Tensor places() const {
    at::Tensor places = at::zeros({count(), width_}, at::kLong);
    for (int64_t b = 0; b < count(); ++b) {
      const auto& row = rows_[static_cast<size_t>(b)].places;
      std::copy(row.begin(), row.end(), places.data_ptr<int64_t>() + b * width_);
    }
    return places;
  }

  // bool [B, 1, T, prefix + T]; padding sees itself, so that no row of it is empty.
  at::Tensor mask() const {
    const int64_t keys = prefix_ + width_;
    at::Tensor mask = at::zeros({count(), 1, width_, keys}, at::kBool);
    for (int64_t b = 0; b < count(); ++b) {
      const SharedRow& row = rows_[static_cast<size_t>(b)];
      bool* line = mask.data_ptr<bool>() + b * width_ * keys;
      for (int64_t t = 0; t < width_; ++t, line += keys) {
        std::fill_n(line, prefix_, true);
        const bool branch = t >= row.stem && t < row.size();
        const int64_t stem = t < row.stem ? t + 1 : t < row.size() ? row.stem : 0;
        std::fill_n(line + prefix_, stem, true);
        const int64_t begin = branch ? row.branch_begins[static_cast<size_t>(t - row.stem)] : t;
        std::fill(line + prefix_ + begin, line + prefix_ + t + 1, true);
      }
    }
    return mask;
  }

  // Keys and values of the prefix for each row, as views: the first forward copies them.
  model::KeyValueCache repeated(const model::KeyValueCache& shared) const {
    model::KeyValueCache cache;
    const auto expand = [&](const at::Tensor& one) {
      return one.expand({count(), one.size(1), one.size(2), one.size(3)});
    };
    for (const at::Tensor& key : shared.keys) cache.keys.push_back(expand(key));
    for (const at::Tensor& value : shared.values) cache.values.push_back(expand(value));
    return cache;
  }

  const model::Decoder& decoder_;
  std::span<const SharedRow> rows_;
  int64_t prefix_, width_;
  bool forks_ = false;

 public:
  int64_t width() const { return width_; }
};

struct Asked {
  int64_t place = 0;  // in [B * T]
  int64_t target = 0;
  Likelihood* likelihood = nullptr;
};

class BatchScorer {
 public:
  BatchScorer(const model::Decoder& decoder, const ScoreOptions& options, size_t questions)
      : decoder_(decoder),
        head_rows_(head_rows(decoder.config().vocabulary_size, options)),
        batch_(std::max<int64_t>(1, options.batch)) {
    if (!options.title.empty())
      progress_ = std::make_unique<base::Progress>(options.title, "requests",
                                                   static_cast<int64_t>(questions));
  }

  absl::Status run(const SharedGroup& group, std::vector<std::vector<Likelihood>>& result) {
    model::KeyValueCache cache;
    const auto prefix = static_cast<int64_t>(group.prefix.size());
    if (prefix > 0)
      FRUGAL_RETURN_IF_ERROR(tensor::guarded("reading examples", [&] { fill(group, cache); }));
    for (size_t begin = 0; begin < group.rows.size();) {
      FRUGAL_RETURN_IF_ERROR(base::check_interrupt());
      // The first row is the longest.
      const int64_t fit = std::max<int64_t>(1, kTokensPerForward / group.rows[begin].size());
      const size_t count =
          std::min(static_cast<size_t>(std::min(batch_, fit)), group.rows.size() - begin);
      const std::span rows = std::span(group.rows).subspan(begin, count);
      FRUGAL_RETURN_IF_ERROR(
          tensor::guarded("scoring requests", [&] { score_rows(rows, prefix, cache, result); }));
      if (progress_) progress_->advance(static_cast<int64_t>(count));
      begin += count;
    }
    return absl::OkStatus();
  }

 private:
  void fill(const SharedGroup& group, model::KeyValueCache& cache) const {
    const c10::InferenceMode inference;
    const at::Tensor ids =
        at::tensor(std::vector<int64_t>(group.prefix.begin(), group.prefix.end()), at::kLong)
            .unsqueeze(0);
    decoder_.hidden({.ids = ids.to(decoder_.device()), .positions = {}}, &cache);
  }

  void score_rows(std::span<const SharedRow> rows, int64_t prefix,
                  const model::KeyValueCache& cache,
                  std::vector<std::vector<Likelihood>>& result) const {
    const c10::InferenceMode inference;
    const Forward forward(decoder_, rows, prefix);
    const at::Tensor hidden = forward.hidden(cache).flatten(0, 1);
    std::vector<Asked> asked;
    for (size_t b = 0; b < rows.size(); ++b) {
      for (const SharedRow::Query& query : rows[b].queries)
        asked.push_back({static_cast<int64_t>(b) * forward.width() + query.index, query.target,
                         &result[rows[b].question][query.request]});
    }
    std::stable_sort(asked.begin(), asked.end(),
                     [](const Asked& a, const Asked& b) { return a.place < b.place; });
    score_places(hidden, asked);
  }

  // Several requests may ask for one place, whose logits are made once.
  void score_places(const at::Tensor& hidden, std::span<const Asked> asked) const {
    std::vector<int64_t> places, row_of, targets;
    for (const Asked& one : asked) {
      if (places.empty() || places.back() != one.place) places.push_back(one.place);
      row_of.push_back(static_cast<int64_t>(places.size()) - 1);
      targets.push_back(one.target);
    }
    const at::Tensor rows = at::tensor(places, at::kLong).to(hidden.device());
    size_t next = 0;
    for_each_logits(decoder_, hidden.index_select(0, rows), head_rows_,
                    [&](int64_t begin, const at::Tensor& logits) {
                      size_t end = next;
                      while (end < asked.size() && row_of[end] < begin + logits.size(0)) ++end;
                      add(logits, begin, asked.subspan(next, end - next),
                          std::span(row_of).subspan(next, end - next),
                          std::span(targets).subspan(next, end - next));
                      next = end;
                    });
  }

  static void add(const at::Tensor& logits, int64_t begin, std::span<const Asked> asked,
                  std::span<const int64_t> row_of, std::span<const int64_t> targets) {
    const auto tensor_of = [&](std::span<const int64_t> values) {
      return at::tensor(std::vector<int64_t>(values.begin(), values.end()), at::kLong)
          .to(logits.device());
    };
    const at::Tensor row = tensor_of(row_of) - begin, target = tensor_of(targets);
    const at::Tensor picked = logits.log_softmax(-1)
                                  .flatten()
                                  .index_select(0, row * logits.size(1) + target)
                                  .to(at::kCPU, at::kDouble)
                                  .contiguous();
    const at::Tensor best = logits.argmax(-1).index_select(0, row).to(at::kCPU).contiguous();
    for (size_t i = 0; i < asked.size(); ++i) {
      Likelihood& likelihood = *asked[i].likelihood;
      likelihood.log_likelihood += picked.const_data_ptr<double>()[i];
      likelihood.greedy = likelihood.greedy && best.const_data_ptr<int64_t>()[i] == targets[i];
      ++likelihood.tokens;
    }
  }

  const model::Decoder& decoder_;
  int64_t head_rows_, batch_;
  std::unique_ptr<base::Progress> progress_;
};

}  // namespace

absl::StatusOr<std::vector<std::vector<Likelihood>>> likelihoods(
    const model::Decoder& decoder, std::span<const Requests> questions,
    const ScoreOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check(questions, decoder.config()));
  const std::vector<SharedGroup> groups = share_rows(questions, sharing_of(decoder.config()));
  std::vector<std::vector<Likelihood>> result;
  size_t rows = 0;
  for (const Requests& requests : questions) result.emplace_back(requests.size());
  for (const SharedGroup& group : groups) rows += group.rows.size();
  BatchScorer scorer(decoder, options, rows);
  for (const SharedGroup& group : groups) FRUGAL_RETURN_IF_ERROR(scorer.run(group, result));
  for (size_t q = 0; q < result.size(); ++q) {
    for (const Likelihood& likelihood : result[q]) {
      if (!std::isfinite(likelihood.log_likelihood))
        return base::failed("question ", q,
                            ": its log-likelihood is not finite; the model's weights or "
                            "activations overflow");
    }
  }
  return result;
}

}  // namespace frugal::evaluate
