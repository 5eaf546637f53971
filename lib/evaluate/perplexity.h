// Perplexity under named protocols. A perplexity without its protocol, window length and text says
// nothing: the same model and text give 5.47 or 5.79 (Llama 2 7B).
//
//   gptq-<L>      documents joined by "\n\n", tokenized once without special tokens, disjoint
//   windows of L, tail dropped;
//                 every token but the first of each window is scored: L - 1 per window.
//                 (IST-DASLab/gptq, wanda, sparsegpt)
//   llamacpp-<L>  the same text without a line end behind it, special pieces in it taken literally;
//                 where the tokenizer adds a BOS it stands in front of the text and again over the
//                 first id of every window; only logits L/2 .. L-2 count: L/2 - 1 per window.
//                 (llama.cpp, tools/perplexity)
//   documents-<L> every document by itself, as a model trained on packed documents knows it: behind
//                 a BOS, else an EOS (without either its first token is not scored); longer ones in
//                 pieces of L that overlap by one token, so that every token is scored once. Of an
//                 example with a prompt only the completion is scored, as it is trained. The
//                 items are pieces of different length.
//   lmeval-<L>    every document by itself behind a BOS, else an EOS, all of its tokens scored, in
//                 windows of at most L ids in front of a scored one; the last window is filled up
//                 with what is in front of it. Besides, perplexity for each word and byte of the
//                 document. L is the model's context there. (lm-evaluation-harness, rolling)
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "evaluate/scoring.h"
#include "evaluate/statistics.h"
#include "model/decoder.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::evaluate {

struct Protocol {
  enum class Kind { kGptq, kLlamaCpp, kDocuments, kLmEval };
  Kind kind = Kind::kGptq;
  int64_t window_length = 2048;

  std::string id() const;        // "gptq-2048"
  int64_t first_target() const;  // the first position of a window whose id is predicted and scored
};

// Errors: unknown name, no window length, a length below 4 or (llamacpp) odd.
absl::StatusOr<Protocol> parse_protocol(std::string_view id);
// Errors: windows longer than the context; the message names the protocol that fits.
absl::Status check_context(const Protocol& protocol, int64_t context_length);

// Whether windows of llamacpp begin with a BOS.
enum class BosPolicy {
  kTokenizer,  // where the tokenizer adds one, as llama.cpp does
  kAlways,     // as if the tokenizer added the BOS that it has
  kNever,
};
absl::StatusOr<BosPolicy> parse_bos_policy(
    std::string_view text);  // "tokenizer", "always", "never"

// The windows that a protocol scores, and all that makes the number reproducible.
struct ScoredWindows {
  Protocol protocol;
  std::vector<text::TokenId> ids;  // of all windows behind each other
  std::vector<int64_t> begin;      // of each window in ids, and the end of the last one
  std::vector<int64_t> first;      // position of each window's first scored token, at least 1
  // The document of each window, ascending. Windows of one are resampled together; of a stream each
  // window stands for itself.
  std::vector<int64_t> document;
  std::vector<double> words, bytes;  // lmeval: of each document's text; else empty
  std::string text_sha256;           // of the whole joined text
  std::string bos;                   // "none", "id 1 over the first id of every window"
  int64_t stream_tokens = 0;         // of the whole text, before cutting and limiting

  int64_t count() const { return static_cast<int64_t>(begin.size()) - 1; }
  std::span<const text::TokenId> window(int64_t index) const;
  int64_t scored(int64_t index) const;  // tokens of a window that are scored
};

struct WindowLimits {
  int64_t windows = 0;  // at most, the first ones; of lmeval documents; 0: all
  BosPolicy bos = BosPolicy::kTokenizer;
};
// Errors: fewer tokens than one window (says how many), kAlways for a tokenizer without BOS,
// documents without a scored token.
absl::StatusOr<ScoredWindows> scored_windows(const std::vector<text::Example>& examples,
                                             const text::Tokenizer& tokenizer,
                                             const Protocol& protocol,
                                             const WindowLimits& limits = {});

// Perplexity for each unit of the text itself, with documents resampled.
struct TextPerplexity {
  double word_perplexity = 0.0, byte_perplexity = 0.0, bits_per_byte = 0.0;
  std::optional<Interval> word_interval, byte_interval, bits_interval;
};

struct Perplexity {
  std::string protocol;
  int64_t window_length = 0;
  std::string text_sha256;
  std::string bos;
  int64_t windows = 0;
  int64_t documents = 0;  // that are resampled: windows of a stream
  int64_t scored_tokens = 0;
  double mean_nll = 0.0;               // nats per scored token
  double value = 0.0;                  // exp(mean_nll)
  std::vector<double> window_nll;      // sum over the scored tokens of each window: the items
  std::vector<int64_t> window_tokens;  // scored
  std::vector<int64_t> window_document;
  std::optional<Interval> interval;  // of `value`, documents resampled
  // Standard error of `value` if tokens did not depend on each other, value sqrt(var / (n - 1)):
  // what llama-perplexity prints behind its +/-; absent where the tokens' own values are not known.
  std::optional<double> token_error;
  std::optional<TextPerplexity> text;  // lmeval
};

// One sequence per window, asking for every scored token.
std::vector<Sequence> sequences_of(const ScoredWindows& windows);

// What a perplexity follows from.
struct WindowSums {
  std::vector<double> nll;        // over the scored tokens of each window
  std::vector<int64_t> tokens;    // scored
  std::vector<int64_t> document;  // as in ScoredWindows
  std::vector<double> words, bytes;
  std::optional<double> nll_squares;  // the sum of the tokens' squared values
};
// Protocol and text stay unknown. `random` draws the interval.
Perplexity summarize_perplexity(WindowSums sums, const base::RandomStream& random);

// The result for per-window sums, however they were obtained. `random` draws the interval;
// `nll_squares`: the sum of the tokens' squared values.
Perplexity summarize_perplexity(const ScoredWindows& windows, std::vector<double> window_nll,
                                base::RandomStream random,
                                std::optional<double> nll_squares = std::nullopt);

// The first `count` windows, all of them where there are fewer.
ScoredWindows first_windows(const ScoredWindows& windows, int64_t count);

// Errors: as `scorer`.
absl::StatusOr<Perplexity> perplexity(const Scorer& scorer, const ScoredWindows& windows,
                                      base::RandomStream random);
// Errors: as check_context and score.
absl::StatusOr<Perplexity> perplexity(const model::Decoder& decoder, const ScoredWindows& windows,
                                      base::RandomStream random, const ScoreOptions& options = {});

}  // namespace frugal::evaluate
