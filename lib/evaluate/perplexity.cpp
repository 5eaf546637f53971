#include "evaluate/perplexity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/hash.h"

namespace frugal::evaluate {
namespace {

constexpr std::string_view kJoiner = "\n\n";

// What llama.cpp does: `in_front` puts BOS before the text, `over_first` on the first id of every
// window.
struct BosUse {
  text::TokenId id = 0;
  bool in_front = false;
  bool over_first = false;
};

absl::StatusOr<BosUse> bos_use(const text::Vocabulary& vocabulary, const Protocol& protocol,
                               BosPolicy policy) {
  if (protocol.kind != Protocol::Kind::kLlamaCpp || policy == BosPolicy::kNever) return BosUse{};
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

std::string_view name_of(Protocol::Kind kind) {
  switch (kind) {
    case Protocol::Kind::kGptq:
      return "gptq";
    case Protocol::Kind::kLlamaCpp:
      return "llamacpp";
    case Protocol::Kind::kDocuments:
      return "documents";
  }
  return "";
}

Protocol fitting(const Protocol& protocol, int64_t context_length) {
  Protocol result = protocol;
  result.window_length = context_length - context_length % 2;
  return result;
}

// gptq and llamacpp: disjoint windows of one stream, the tail dropped.
absl::Status cut_stream(const std::string& text, const text::Tokenizer& tokenizer,
                        const BosUse& bos, int64_t limit, ScoredWindows& result) {
  std::vector<text::TokenId> stream = tokenizer.encode(text, /*add_special=*/false);
  if (bos.in_front) stream.insert(stream.begin(), bos.id);
  result.stream_tokens = static_cast<int64_t>(stream.size());
  result.bos = bos.over_first ? base::str_cat("id ", bos.id, " over the first id of every window")
                              : std::string("none");
  const int64_t length = result.protocol.window_length;
  int64_t count = result.stream_tokens / length;
  if (count == 0) {
    return base::invalid_argument("perplexity protocol ", result.protocol.id(), ": the text has ",
                                  result.stream_tokens, " tokens, one window needs ", length,
                                  "; use a longer text or shorter windows");
  }
  if (limit > 0) count = std::min(count, limit);
  stream.resize(static_cast<size_t>(count * length));
  result.ids = std::move(stream);
  for (int64_t w = 0; w < count; ++w) {
    if (bos.over_first) result.ids[static_cast<size_t>(w * length)] = bos.id;
    result.begin.push_back((w + 1) * length);
    result.first.push_back(result.protocol.first_target());
  }
  return absl::OkStatus();
}

// documents: pieces that overlap by one token, the first one behind BOS or EOS.
absl::Status cut_documents(const std::vector<text::Example>& examples,
                           const text::Tokenizer& tokenizer, int64_t limit, ScoredWindows& result) {
  const text::Vocabulary& vocabulary = tokenizer.vocabulary();
  // A chat template begins its texts itself.
  const bool chat = !examples.empty() && examples.front().chat;
  std::optional<text::TokenId> front = vocabulary.bos ? vocabulary.bos : vocabulary.eos;
  if (chat) front.reset();
  result.bos = chat    ? std::string("the chat template's")
               : front ? base::str_cat("id ", *front, " before every document")
                       : std::string("none");
  const size_t length = static_cast<size_t>(result.protocol.window_length);
  for (const text::Example& example : examples) {
    const auto encoded = text::encode_example(tokenizer, example.prompt, example.completion);
    std::vector<text::TokenId> ids = encoded.ids;
    if (front) ids.insert(ids.begin(), *front);
    result.stream_tokens += static_cast<int64_t>(ids.size());
    const size_t unscored = static_cast<size_t>(encoded.prompt_tokens) + (front ? 1 : 0);
    for (size_t at = 0; at + 1 < ids.size(); at += length - 1) {
      const size_t end = std::min(ids.size(), at + length);
      const size_t first = std::max<size_t>(1, unscored > at ? unscored - at : 0);
      if (at + first >= end) continue;  // all of it is prompt
      if (limit > 0 && result.count() == limit) return absl::OkStatus();
      result.ids.insert(result.ids.end(), ids.begin() + static_cast<int64_t>(at),
                        ids.begin() + static_cast<int64_t>(end));
      result.begin.push_back(static_cast<int64_t>(result.ids.size()));
      result.first.push_back(static_cast<int64_t>(first));
    }
  }
  if (result.count() > 0) return absl::OkStatus();
  return base::invalid_argument("perplexity protocol ", result.protocol.id(),
                                ": no document has a token to score; use a longer text");
}

}  // namespace

std::string Protocol::id() const { return base::str_cat(name_of(kind), "-", window_length); }

int64_t Protocol::first_target() const {
  return kind == Kind::kLlamaCpp ? window_length / 2 + 1 : 1;
}

absl::StatusOr<Protocol> parse_protocol(std::string_view id) {
  Protocol result;
  const size_t dash = id.rfind('-');
  const std::string_view name = id.substr(0, dash);
  bool known = false;
  for (const auto kind :
       {Protocol::Kind::kGptq, Protocol::Kind::kLlamaCpp, Protocol::Kind::kDocuments}) {
    if (name != name_of(kind)) continue;
    result.kind = kind;
    known = true;
  }
  if (!known || dash == std::string_view::npos) {
    return base::invalid_argument("perplexity protocol '", id,
                                  "': expected gptq-<L>, llamacpp-<L> or ",
                                  "documents-<L> with a window length L, e.g. gptq-2048");
  }
  const std::string_view number = id.substr(dash + 1);
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
  const size_t at = static_cast<size_t>(index);
  return std::span(ids).subspan(static_cast<size_t>(begin[at]),
                                static_cast<size_t>(begin[at + 1] - begin[at]));
}

int64_t ScoredWindows::scored(int64_t index) const {
  return static_cast<int64_t>(window(index).size()) - first[static_cast<size_t>(index)];
}

absl::StatusOr<ScoredWindows> scored_windows(const std::vector<text::Example>& examples,
                                             const text::Tokenizer& tokenizer,
                                             const Protocol& protocol, const WindowLimits& limits) {
  const std::string text = text::join_examples(examples, kJoiner);
  ScoredWindows result;
  result.protocol = protocol;
  result.text_sha256 = base::sha256(text);
  result.begin = {0};
  if (protocol.kind == Protocol::Kind::kDocuments) {
    FRUGAL_RETURN_IF_ERROR(cut_documents(examples, tokenizer, limits.windows, result));
  } else {
    FRUGAL_ASSIGN_OR_RETURN(const BosUse bos,
                            bos_use(tokenizer.vocabulary(), protocol, limits.bos));
    FRUGAL_RETURN_IF_ERROR(cut_stream(text, tokenizer, bos, limits.windows, result));
  }
  return result;
}

std::vector<Sequence> sequences_of(const ScoredWindows& windows) {
  std::vector<Sequence> result(static_cast<size_t>(windows.count()));
  for (int64_t w = 0; w < windows.count(); ++w) {
    const std::span<const text::TokenId> ids = windows.window(w);
    Sequence& sequence = result[static_cast<size_t>(w)];
    sequence.ids.assign(ids.begin(), ids.end());
    for (size_t t = static_cast<size_t>(windows.first[static_cast<size_t>(w)]); t < ids.size();
         ++t) {
      sequence.queries.push_back({static_cast<int64_t>(t) - 1, ids[t]});
    }
  }
  return result;
}

Perplexity summarize_perplexity(const ScoredWindows& windows, std::vector<double> window_nll,
                                base::RandomStream random) {
  std::vector<int64_t> window_tokens;
  for (int64_t w = 0; w < windows.count(); ++w) window_tokens.push_back(windows.scored(w));
  Perplexity result =
      summarize_perplexity(std::move(window_nll), std::move(window_tokens), std::move(random));
  result.protocol = windows.protocol.id();
  result.window_length = windows.protocol.window_length;
  result.text_sha256 = windows.text_sha256;
  result.bos = windows.bos;
  return result;
}

Perplexity summarize_perplexity(std::vector<double> window_nll, std::vector<int64_t> window_tokens,
                                base::RandomStream random) {
  Perplexity result;
  result.windows = static_cast<int64_t>(window_nll.size());
  std::vector<double> tokens;
  for (const int64_t scored : window_tokens) {
    result.scored_tokens += scored;
    tokens.push_back(static_cast<double>(scored));
  }
  result.mean_nll = std::accumulate(window_nll.begin(), window_nll.end(), 0.0) /
                    static_cast<double>(result.scored_tokens);
  result.value = std::exp(result.mean_nll);
  result.interval = bootstrap_ratio_interval(window_nll, tokens, random);
  if (result.interval) {
    result.interval->low = std::exp(result.interval->low);
    result.interval->high = std::exp(result.interval->high);
  }
  result.window_nll = std::move(window_nll);
  result.window_tokens = std::move(window_tokens);
  return result;
}

ScoredWindows first_windows(const ScoredWindows& windows, int64_t count) {
  ScoredWindows result = windows;
  const size_t kept = static_cast<size_t>(std::min(count, windows.count()));
  result.begin.resize(kept + 1);
  result.first.resize(kept);
  result.ids.resize(static_cast<size_t>(result.begin.back()));
  return result;
}

absl::StatusOr<Perplexity> perplexity(const model::Decoder& decoder, const ScoredWindows& windows,
                                      base::RandomStream random, const ScoreOptions& options) {
  FRUGAL_RETURN_IF_ERROR(check_context(windows.protocol, decoder.config().context_length));
  return perplexity(scorer_of(decoder, options), windows, random);
}

absl::StatusOr<Perplexity> perplexity(const Scorer& scorer, const ScoredWindows& windows,
                                      base::RandomStream random) {
  FRUGAL_ASSIGN_OR_RETURN(const auto log_probabilities, scorer(sequences_of(windows)));
  std::vector<double> window_nll;
  for (const std::vector<double>& window : log_probabilities) {
    window_nll.push_back(-std::accumulate(window.begin(), window.end(), 0.0));
  }
  return summarize_perplexity(windows, std::move(window_nll), random);
}

}  // namespace frugal::evaluate
