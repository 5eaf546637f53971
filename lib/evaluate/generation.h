// Generated text: does it mention what it was asked to, does it repeat itself, is it as long as the
// references.
//
// Generation is greedy, so the same model gives the same text. All measures count words: runs of
// letters and digits (any byte above ASCII counts as a letter), ASCII case ignored.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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

std::vector<std::string> words(std::string_view text);  // lower-cased
// Whether the words of `phrase` follow each other in `text`. "red" is not in "covered"; "soft
// touch" is in "Soft-touch".
bool mentions(std::string_view text, std::string_view phrase);
// Different n-grams / n-grams over all texts, n-grams not crossing texts (Li et al., 2016); NaN
// without any.
double distinct_n(const std::vector<std::string>& texts, int64_t n);

struct GenerationItem {
  std::string id;
  std::string prompt;
  std::string generated;
  std::string reference;  // the data's completion
  std::vector<std::string> attributes;
  std::vector<bool> mentioned;  // one per attribute
  double coverage = 0.0;        // share of the attributes mentioned
};

struct Generation {
  std::vector<GenerationItem> items;
  double coverage = 0.0;                      // mean over the items
  std::optional<Interval> coverage_interval;  // items resampled
  double distinct_1 = 0.0, distinct_2 = 0.0;
  double length_ratio =
      0.0;  // words generated / words of the references; NaN where those are empty
};

// Fills mentioned and coverage.
GenerationItem judge_generation(const text::Example& example, std::string generated);
Generation summarize_generation(std::vector<GenerationItem> items, base::RandomStream random);

struct GenerationOptions {
  int64_t max_new_tokens = 64;
  int64_t batch = 8;  // prompts per forward
  std::string title;  // of the progress line; empty: no progress
};

// Whatever completes prompts greedily: new ids for each, up to an id that ends a text or
// max_new_tokens.
using Completer = std::function<absl::StatusOr<std::vector<std::vector<text::TokenId>>>(
    const std::vector<std::vector<text::TokenId>>& prompts)>;
// The same by whatever completes, with a model of `context_length`. Errors: as below.
absl::StatusOr<Generation> generate_and_judge(const Completer& complete, int64_t context_length,
                                              const text::Tokenizer& tokenizer,
                                              const std::vector<text::Example>& examples,
                                              base::RandomStream random,
                                              const GenerationOptions& options);

// Completes the prompts of examples that carry attributes, each up to an end-of-text id or
// max_new_tokens. Prompts begin with a BOS where the tokenizer has one, as in training. Errors: no
// examples, one without attributes or prompt, a prompt that leaves no room for max_new_tokens in
// the context (with the example's id).
absl::StatusOr<Generation> generate_and_judge(const model::Decoder& decoder,
                                              const text::Tokenizer& tokenizer,
                                              const std::vector<text::Example>& examples,
                                              base::RandomStream random,
                                              const GenerationOptions& options = {});

}  // namespace frugal::evaluate
