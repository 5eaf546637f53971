#include "layerwise/walk/calibration.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

#include "architecture/stages.h"
#include "base/hash.h"
#include "base/text.h"
#include "layerwise/walk/self_text.h"
#include "layerwise/walk/token_share.h"
#include "text/tokenizer.h"

namespace frugal::layerwise {

int64_t default_windows(const architecture::ModelConfig& config, int64_t length) {
  int64_t tokens = 0;
  for (int64_t i = 0; i < config.layer_count(); ++i) {
    const TokenShare share = share_of(config.layers[static_cast<size_t>(i)]);
    for (const architecture::Stage& stage : architecture::stages(config, i)) {
      const bool routed = stage.expert != architecture::kNoExpert;
      for (const architecture::Tensor& matrix : stage.matrices) {
        const int64_t own = kDefaultTokensPerColumn * matrix.shape.back();
        tokens = std::max(tokens, routed ? own * share.of / share.part : own);
      }
    }
  }
  return (std::min(tokens, kMostDefaultTokens) + length - 1) / length;
}

absl::StatusOr<CalibrationPlan> plan_calibration(const architecture::ModelConfig& config,
                                                 const text::DataSource& source,
                                                 const CalibrationOptions& options) {
  CalibrationPlan plan;
  plan.length = options.sequence_length > 0 ? options.sequence_length
                : source.sequence_length > 0
                    ? source.sequence_length
                    : std::min(kDefaultSequenceLength, config.context_length);
  if (plan.length > config.context_length) {
    return base::invalid_argument("calibration windows of ", plan.length,
                                  " tokens are longer than the model's context of ",
                                  config.context_length, "; set sequence_length to at most that");
  }
  if (options.windows == 0 && source.tokens > 0 && source.tokens < plan.length) {
    return base::invalid_argument("the calibration data is limited to ", source.tokens,
                                  " tokens, less than one window of ", plan.length,
                                  "; raise `tokens` or lower `sequence_length`");
  }
  plan.windows = options.windows > 0 ? options.windows
                 : source.tokens > 0 ? source.tokens / plan.length
                                     : default_windows(config, plan.length);
  if (plan.windows < static_cast<int64_t>(source.mix.size())) {
    return base::invalid_argument("a mixture of ", source.mix.size(), " texts for ", plan.windows,
                                  " calibration windows; each text needs one at least");
  }
  double weights = 0, own = 0;
  for (const text::MixPart& part : source.mix) {
    weights += part.weight;
    if (part.source->self) own += part.weight;
  }
  plan.self_share = source.self ? 1 : weights > 0 ? own / weights : 0;
  return plan;
}

namespace {

// Windows of several texts so that any stretch of them holds about the same share of each.
text::Windows in_turns(const std::vector<text::Windows>& parts, int64_t length) {
  struct Place {
    double at;
    size_t part;
    int64_t window;
  };
  std::vector<Place> places;
  text::Windows result{.length = length};
  base::KeyHasher hash;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (int64_t w = 0; w < parts[i].count; ++w) {
      const double at = (static_cast<double>(w) + 0.5) / static_cast<double>(parts[i].count);
      places.push_back({at, i, w});
    }
    result.count += parts[i].count;
    result.stream_tokens += parts[i].stream_tokens;
    hash.add(parts[i].text_sha256).add(base::str_cat(parts[i].count));
  }
  std::ranges::sort(places, [](const Place& a, const Place& b) {
    return std::tie(a.at, a.part, a.window) < std::tie(b.at, b.part, b.window);
  });
  for (const Place& place : places) {
    const auto begin = parts[place.part].ids.begin() + place.window * length;
    result.ids.insert(result.ids.end(), begin, begin + length);
  }
  result.text_sha256 = hash.hex();
  return result;
}

absl::StatusOr<text::Windows> read_windows(const format::Checkpoint& checkpoint,
                                           const text::Tokenizer& tokenizer,
                                           const text::DataSource& source, int64_t count,
                                           int64_t length, const SelfTextPlace& place) {
  if (source.self) {
    return write_self_text(
        checkpoint, tokenizer,
        {.windows = count,
         .length = length,
         .seed = source.seed,
         .device = place.device,
         .file = place.folder.empty()
                     ? std::filesystem::path()
                     : place.folder / base::str_cat("self-text-", source.seed, "-", count, ".json"),
         .title = base::str_cat(place.title, ": writing calibration text")});
  }
  if (source.mix.empty()) {
    return text::make_windows(source, tokenizer,
                              {.length = length, .limit = count, .spread = true});
  }
  const std::vector<int64_t> shares = mixture_shares(source, count);
  std::vector<text::Windows> parts;
  for (size_t i = 0; i < shares.size(); ++i) {
    auto part =
        read_windows(checkpoint, tokenizer, *source.mix[i].source, shares[i], length, place);
    if (!part.ok()) return base::annotate(part.status(), source.mix[i].name);
    parts.push_back(*std::move(part));
  }
  return in_turns(parts, length);
}

}  // namespace

std::vector<int64_t> mixture_shares(const text::DataSource& source, int64_t windows) {
  double total = 0;
  for (const text::MixPart& part : source.mix) total += part.weight;
  // Rounded up and down so that all sums from the first on are right, and none is without any.
  std::vector<int64_t> shares;
  double until = 0;
  int64_t given = 0;
  for (size_t i = 0; i < source.mix.size(); ++i) {
    until += source.mix[i].weight / total * static_cast<double>(windows);
    const auto behind = static_cast<int64_t>(source.mix.size() - 1 - i);
    const int64_t share = std::clamp<int64_t>(std::llround(until) - given, 1,
                                              std::max<int64_t>(1, windows - given - behind));
    shares.push_back(share);
    given += share;
  }
  return shares;
}

absl::StatusOr<text::Windows> load_calibration(const format::Checkpoint& checkpoint,
                                               const text::DataSource& source,
                                               const CalibrationPlan& plan,
                                               const SelfTextPlace& place) {
  FRUGAL_ASSIGN_OR_RETURN(const auto tokenizer, text::shared_tokenizer(checkpoint.folder()));
  const int64_t vocabulary = checkpoint.config().vocabulary_size;
  FRUGAL_RETURN_IF_ERROR(text::check_fits(*tokenizer, vocabulary, checkpoint.folder().string()));
  absl::StatusOr<text::Windows> windows =
      read_windows(checkpoint, *tokenizer, source, plan.windows, plan.length, place);
  if (!windows.ok()) return base::annotate(windows.status(), "calibration");
  for (const text::TokenId id : windows->ids) {
    if (id < 0 || id >= vocabulary) {
      return base::failed("calibration: token id ", id, " is outside the vocabulary of ",
                          vocabulary);
    }
  }
  return windows;
}

namespace {

// `count` of `from`, evenly spread; they leave it.
std::vector<int64_t> take_spread(std::vector<int64_t>& from, int64_t count) {
  std::vector<int64_t> taken, left;
  const auto total = static_cast<int64_t>(from.size());
  for (int64_t i = 0; i < total; ++i) {
    const bool take = (i + 1) * count / total > i * count / total;
    (take ? taken : left).push_back(from[static_cast<size_t>(i)]);
  }
  from = std::move(left);
  return taken;
}

text::Windows select(const text::Windows& all, const std::vector<int64_t>& which) {
  text::Windows result = all;
  result.count = static_cast<int64_t>(which.size());
  result.ids.clear();
  for (const int64_t window : which) {
    const auto begin = all.ids.begin() + window * all.length;
    result.ids.insert(result.ids.end(), begin, begin + all.length);
  }
  return result;
}

}  // namespace

CalibrationSplit split_windows(const text::Windows& all, int64_t seen, int64_t held_out,
                               int64_t fresh) {
  // A text too short for all still gives an eighth to the choices that need windows of their own.
  const int64_t least = std::min(held_out, std::max<int64_t>(all.count / 8, 1));
  held_out =
      std::min(std::clamp(all.count - seen, least, held_out), std::max<int64_t>(all.count - 1, 0));
  fresh = std::clamp<int64_t>(all.count - held_out - seen, 0, fresh);
  std::vector<int64_t> left(static_cast<size_t>(all.count));
  std::iota(left.begin(), left.end(), 0);
  CalibrationSplit split;
  split.held_out = select(all, take_spread(left, held_out));
  split.fresh = select(all, take_spread(left, fresh));
  split.seen = select(all, left);
  return split;
}

text::Windows joined(const text::Windows& a, const text::Windows& b) {
  text::Windows result = a;
  result.count += b.count;
  result.ids.insert(result.ids.end(), b.ids.begin(), b.ids.end());
  return result;
}

}  // namespace frugal::layerwise
