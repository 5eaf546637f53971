#include "evaluate/perplexity.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/hash.h"
#include "tasks/encoding.h"
#include "tasks/metrics.h"

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
    case Protocol::Kind::kLmEval:
      return "lmeval";
  }
  return "";
}

Protocol fitting(const Protocol& protocol, int64_t context_length) {
  Protocol result = protocol;
  result.window_length = context_length - context_length % 2;
  return result;
}

// gptq and llamacpp: disjoint windows of one stream, the tail dropped.
absl::Status cut_stream(std::string_view text, const text::Tokenizer& tokenizer, const BosUse& bos,
                        int64_t limit, ScoredWindows& result) {
  // llama-perplexity drops the line end behind its file, and takes special pieces literally.
  const bool llamacpp = result.protocol.kind == Protocol::Kind::kLlamaCpp;
  if (llamacpp && text.ends_with('\n')) text.remove_suffix(1);
  std::vector<text::TokenId> stream =
      tokenizer.encode(text, /*add_special=*/false, /*parse_special=*/!llamacpp);
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
    result.document.push_back(w);
  }
  return absl::OkStatus();
}

absl::Status check_any(const ScoredWindows& result) {
  if (result.count() > 0) return absl::OkStatus();
  return base::invalid_argument("perplexity protocol ", result.protocol.id(),
                                ": no document has a token to score; use a longer text");
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
  int64_t document = -1;
  for (const text::Example& example : examples) {
    ++document;
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
      result.document.push_back(document);
    }
  }
  return check_any(result);
}

// lmeval: the windows of lm-evaluation-harness' loglikelihood_rolling.
absl::Status cut_rolling(const std::vector<text::Example>& examples,
                         const text::Tokenizer& tokenizer, int64_t limit, ScoredWindows& result) {
  FRUGAL_ASSIGN_OR_RETURN(const text::TokenId prefix, tasks::prefix_id(tokenizer));
  result.bos = base::str_cat("id ", prefix, " before every document");
  for (const text::Example& example : examples) {
    const auto document = static_cast<int64_t>(result.words.size());
    if (limit > 0 && document == limit) break;
    const std::string text = example.prompt + example.completion;
    FRUGAL_ASSIGN_OR_RETURN(const auto windows,
                            tasks::encode_rolling(tokenizer, text, result.protocol.window_length));
    for (const tasks::EncodedRequest& window : windows) {
      result.ids.insert(result.ids.end(), window.ids.begin(), window.ids.end());
      result.begin.push_back(static_cast<int64_t>(result.ids.size()));
      result.first.push_back(static_cast<int64_t>(window.ids.size()) - window.scored);
      result.document.push_back(document);
      result.stream_tokens += window.scored;
    }
    if (windows.empty()) continue;  // an empty text
    result.words.push_back(static_cast<double>(tasks::count_words(text)));
    result.bytes.push_back(static_cast<double>(text.size()));
  }
  return check_any(result);
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
  for (const auto kind : {Protocol::Kind::kGptq, Protocol::Kind::kLlamaCpp,
                          Protocol::Kind::kDocuments, Protocol::Kind::kLmEval}) {
    if (name != name_of(kind)) continue;
    result.kind = kind;
    known = true;
  }
  if (!known || dash == std::string_view::npos) {
    return base::invalid_argument(
        "perplexity protocol '", id, "': expected gptq-<L>, llamacpp-<L>, ",
        "documents-<L> or lmeval-<L> with a window length L, e.g. gptq-2048");
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
  } else if (protocol.kind == Protocol::Kind::kLmEval) {
    FRUGAL_RETURN_IF_ERROR(cut_rolling(examples, tokenizer, limits.windows, result));
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
    // What is only predicted needs no place: windows of lmeval have one id more than their length.
    const auto room = static_cast<size_t>(windows.protocol.window_length);
    const auto kept = ids.first(std::min(ids.size(), room));
    sequence.ids.assign(kept.begin(), kept.end());
    for (size_t t = static_cast<size_t>(windows.first[static_cast<size_t>(w)]); t < ids.size();
         ++t) {
      sequence.queries.push_back({static_cast<int64_t>(t) - 1, ids[t]});
    }
  }
  return result;
}

namespace {

std::optional<Interval> exp_of(std::optional<Interval> interval) {
  if (interval) interval->low = std::exp(interval->low), interval->high = std::exp(interval->high);
  return interval;
}

// For each word and byte of the documents, whose summed negative log-likelihoods are `nll`.
TextPerplexity of_text(const WindowSums& sums, const std::vector<double>& nll,
                       const base::RandomStream& random) {
  const double per_word = mean(nll) / mean(sums.words);
  const double per_byte = mean(nll) / mean(sums.bytes);
  TextPerplexity result{.word_perplexity = std::exp(per_word),
                        .byte_perplexity = std::exp(per_byte),
                        .bits_per_byte = per_byte / std::log(2.0),
                        .word_interval = exp_of(bootstrap_ratio_interval(nll, sums.words, random)),
                        .byte_interval = {},
                        .bits_interval = bootstrap_ratio_interval(nll, sums.bytes, random)};
  result.byte_interval = exp_of(result.bits_interval);
  if (result.bits_interval) {
    result.bits_interval->low /= std::log(2.0);
    result.bits_interval->high /= std::log(2.0);
  }
  return result;
}

}  // namespace

Perplexity summarize_perplexity(const ScoredWindows& windows, std::vector<double> window_nll,
                                base::RandomStream random, std::optional<double> nll_squares) {
  WindowSums sums{.nll = std::move(window_nll),
                  .tokens = {},
                  .document = windows.document,
                  .words = windows.words,
                  .bytes = windows.bytes,
                  .nll_squares = nll_squares};
  for (int64_t w = 0; w < windows.count(); ++w) sums.tokens.push_back(windows.scored(w));
  Perplexity result = summarize_perplexity(std::move(sums), random);
  result.protocol = windows.protocol.id();
  result.window_length = windows.protocol.window_length;
  result.text_sha256 = windows.text_sha256;
  result.bos = windows.bos;
  return result;
}

Perplexity summarize_perplexity(WindowSums sums, const base::RandomStream& random) {
  Perplexity result;
  result.windows = static_cast<int64_t>(sums.nll.size());
  std::vector<double> tokens;
  for (const int64_t scored : sums.tokens) {
    result.scored_tokens += scored;
    tokens.push_back(static_cast<double>(scored));
  }
  result.mean_nll = std::accumulate(sums.nll.begin(), sums.nll.end(), 0.0) /
                    static_cast<double>(result.scored_tokens);
  result.value = std::exp(result.mean_nll);
  const std::vector<double> nll = sums_by_group(sums.nll, sums.document);
  result.documents = static_cast<int64_t>(nll.size());
  result.interval =
      exp_of(bootstrap_ratio_interval(nll, sums_by_group(tokens, sums.document), random));
  if (sums.words.size() == nll.size()) result.text = of_text(sums, nll, random);
  if (sums.nll_squares && result.scored_tokens > 1) {
    const double n = static_cast<double>(result.scored_tokens);
    const double spread = std::max(0.0, *sums.nll_squares / n - result.mean_nll * result.mean_nll);
    result.token_error = result.value * std::sqrt(spread / (n - 1.0));
  }
  result.window_nll = std::move(sums.nll);
  result.window_tokens = std::move(sums.tokens);
  result.window_document = std::move(sums.document);
  return result;
}

ScoredWindows first_windows(const ScoredWindows& windows, int64_t count) {
  ScoredWindows result = windows;
  const size_t kept = static_cast<size_t>(std::min(count, windows.count()));
  result.begin.resize(kept + 1);
  result.first.resize(kept);
  result.document.resize(kept);
  result.words.clear();  // of whole documents
  result.bytes.clear();
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
  double squares = 0.0;
  for (const std::vector<double>& window : log_probabilities) {
    window_nll.push_back(-std::accumulate(window.begin(), window.end(), 0.0));
    squares = std::inner_product(window.begin(), window.end(), window.begin(), squares);
  }
  return summarize_perplexity(windows, std::move(window_nll), random, squares);
}

}  // namespace frugal::evaluate
