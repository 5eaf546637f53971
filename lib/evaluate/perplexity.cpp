#include "evaluate/perplexity.h"

#include <charconv>
#include <cmath>
#include <numeric>

#include "base/hash.h"

namespace frugal::evaluate {
namespace {

constexpr std::string_view kJoiner = "\n\n";

std::string joined_text(const std::vector<text::Example>& examples) {
  std::string result;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (i > 0) result += kJoiner;
    result += examples[i].prompt;
    result += examples[i].completion;
  }
  return result;
}

// What llama.cpp does: `in_front` puts BOS before the text, `over_first` on the first id of every
// window.
struct BosUse {
  text::TokenId id = 0;
  bool in_front = false;
  bool over_first = false;
};

absl::StatusOr<BosUse> bos_use(const text::Vocabulary& vocabulary, const Protocol& protocol,
                               BosPolicy policy) {
  if (protocol.kind == Protocol::Kind::kGptq || policy == BosPolicy::kNever) return BosUse{};
  if (policy == BosPolicy::kTokenizer) {
    if (!vocabulary.add_bos || !vocabulary.bos) return BosUse{};
    return BosUse{*vocabulary.bos, true, true};
  }
  if (!vocabulary.bos) {
    return base::invalid_argument(
        "protocol ", protocol.id(),
        ": bos is 'always', but the tokenizer has no BOS; use 'tokenizer' or 'never'");
  }
  return BosUse{*vocabulary.bos, true, true};
}

Protocol fitting(const Protocol& protocol, int64_t context_length) {
  Protocol result = protocol;
  result.window_length = context_length - context_length % 2;
  return result;
}

}  // namespace

std::string Protocol::id() const {
  return base::str_cat(kind == Kind::kGptq ? "gptq-" : "llamacpp-", window_length);
}

int64_t Protocol::first_target() const { return kind == Kind::kGptq ? 1 : window_length / 2 + 1; }

absl::StatusOr<Protocol> parse_protocol(std::string_view id) {
  Protocol result;
  std::string_view number;
  if (id.starts_with("gptq-")) {
    number = id.substr(5);
  } else if (id.starts_with("llamacpp-")) {
    result.kind = Protocol::Kind::kLlamaCpp;
    number = id.substr(9);
  } else {
    return base::invalid_argument(
        "perplexity protocol '", id,
        "': expected gptq-<window length> or llamacpp-<window length>, e.g. gptq-2048");
  }
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), result.window_length);
  const bool odd = result.kind == Protocol::Kind::kLlamaCpp && result.window_length % 2 != 0;
  if (error != std::errc{} || end != number.data() + number.size() || result.window_length < 4 ||
      odd) {
    return base::invalid_argument("perplexity protocol '", id, "': the window length '", number,
                                  "' must be ",
                                  "a whole number of tokens, at least 4, and even for llamacpp");
  }
  return result;
}

absl::Status check_context(const Protocol& protocol, int64_t context_length) {
  if (protocol.window_length <= context_length) return absl::OkStatus();
  return base::invalid_argument("perplexity protocol ", protocol.id(), ": windows of ",
                                protocol.window_length, " tokens, but the model's context holds ",
                                context_length,
                                "; set protocol: ", fitting(protocol, context_length).id());
}

absl::StatusOr<BosPolicy> parse_bos_policy(std::string_view text) {
  if (text == "tokenizer") return BosPolicy::kTokenizer;
  if (text == "always") return BosPolicy::kAlways;
  if (text == "never") return BosPolicy::kNever;
  return base::invalid_argument("bos '", text, "': expected tokenizer, always or never");
}

std::span<const text::TokenId> ScoredWindows::window(int64_t index) const {
  const size_t length = static_cast<size_t>(protocol.window_length);
  return std::span(ids).subspan(static_cast<size_t>(index) * length, length);
}

absl::StatusOr<ScoredWindows> scored_windows(const std::vector<text::Example>& examples,
                                             const text::Tokenizer& tokenizer,
                                             const Protocol& protocol, const WindowLimits& limits) {
  FRUGAL_ASSIGN_OR_RETURN(const BosUse bos, bos_use(tokenizer.vocabulary(), protocol, limits.bos));
  const std::string text = joined_text(examples);
  std::vector<text::TokenId> stream = tokenizer.encode(text, /*add_special=*/false);
  if (bos.in_front) stream.insert(stream.begin(), bos.id);

  ScoredWindows result;
  result.protocol = protocol;
  result.text_sha256 = base::sha256(text);
  result.stream_tokens = static_cast<int64_t>(stream.size());
  result.bos = bos.over_first ? base::str_cat("id ", bos.id, " over the first id of every window")
                              : std::string("none");
  const int64_t length = protocol.window_length;
  result.count = result.stream_tokens / length;
  if (result.count == 0) {
    return base::invalid_argument("perplexity protocol ", protocol.id(), ": the text has ",
                                  result.stream_tokens, " tokens, one window needs ", length,
                                  "; use a longer text or shorter windows");
  }
  if (limits.windows > 0) result.count = std::min(result.count, limits.windows);
  stream.resize(static_cast<size_t>(result.count * length));
  result.ids = std::move(stream);
  for (int64_t w = 0; bos.over_first && w < result.count; ++w) {
    result.ids[static_cast<size_t>(w * length)] = bos.id;
  }
  return result;
}

Perplexity summarize_perplexity(const ScoredWindows& windows, std::vector<double> window_nll,
                                base::RandomStream random) {
  Perplexity result;
  result.protocol = windows.protocol.id();
  result.window_length = windows.protocol.window_length;
  result.text_sha256 = windows.text_sha256;
  result.bos = windows.bos;
  result.windows = windows.count;
  result.scored_tokens = windows.count * windows.protocol.scored_per_window();
  result.mean_nll = std::accumulate(window_nll.begin(), window_nll.end(), 0.0) /
                    static_cast<double>(result.scored_tokens);
  result.value = std::exp(result.mean_nll);
  // Windows are of equal length: the mean over tokens is the mean over windows.
  result.interval = bootstrap_mean_interval(window_nll, random);
  if (result.interval) {
    const double tokens = static_cast<double>(windows.protocol.scored_per_window());
    result.interval->low = std::exp(result.interval->low / tokens);
    result.interval->high = std::exp(result.interval->high / tokens);
  }
  result.window_nll = std::move(window_nll);
  return result;
}

absl::StatusOr<Perplexity> perplexity(const model::Decoder& decoder, const ScoredWindows& windows,
                                      base::RandomStream random, const ScoreOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_context(windows.protocol, decoder.config().context_length));
  std::vector<Sequence> sequences(static_cast<size_t>(windows.count));
  for (int64_t w = 0; w < windows.count; ++w) {
    const std::span<const text::TokenId> ids = windows.window(w);
    Sequence& sequence = sequences[static_cast<size_t>(w)];
    sequence.ids.assign(ids.begin(), ids.end());
    for (int64_t t = windows.protocol.first_target(); t < windows.protocol.window_length; ++t) {
      sequence.queries.push_back({t - 1, ids[static_cast<size_t>(t)]});
    }
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto log_probabilities, score(decoder, sequences, options));
  std::vector<double> window_nll;
  for (const std::vector<double>& window : log_probabilities) {
    window_nll.push_back(-std::accumulate(window.begin(), window.end(), 0.0));
  }
  return summarize_perplexity(windows, std::move(window_nll), random);
}

}  // namespace frugal::evaluate
