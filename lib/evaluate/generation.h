// Generated text: how near it is to what people wrote, does it mention what it was asked to, does
// it repeat itself, is it as long as the references.
//
// Generation is greedy, so the same model gives the same text. BLEU, chrF and ROUGE have words of
// their own (tasks/text_metrics.h); all other measures count runs of letters and digits (any byte
// above ASCII counts as a letter), ASCII case ignored.
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
  std::vector<std::string> references;  // the data's completions of this prompt
  std::vector<std::string> attributes;
  std::vector<bool> mentioned;  // one per attribute
  double coverage = kNaN;       // share of the attributes mentioned; NaN without any
};

// A score of many texts against their references: of the items that are named, so that paired tests
// can resample them.
struct TextMetric {
  std::string name;       // "bleu"
  std::string signature;  // what makes the number comparable, in sacrebleu's form
  IndexStatistic of;
};
// bleu and chrf (0 to 100, of the corpus), rouge_l and rouge_lsum (0 to 1, means); none where an
// item has no reference.
std::vector<TextMetric> text_metrics(const std::vector<GenerationItem>& items);

struct TextScore {
  std::string name, signature;
  double value = 0.0;
  std::optional<Interval> interval;  // items resampled
};

struct Generation {
  std::vector<GenerationItem> items;
  std::vector<TextScore> scores;              // of text_metrics
  double coverage = kNaN;                     // mean over the items; NaN where one has no attribute
  std::optional<Interval> coverage_interval;  // items resampled
  double distinct_1 = 0.0, distinct_2 = 0.0;
  double repetition_4 = kNaN;  // mean share of four words in a row that a text has said before
  // Words generated / words of the references (of several their mean); NaN where those are empty.
  double length_ratio = 0.0;
};

// One example for each prompt, and all of its completions.
struct PromptedExample {
  text::Example example;
  std::vector<std::string> references;
};
// Examples with attributes stay by themselves; of others those with the same prompt become one.
std::vector<PromptedExample> by_prompt(const std::vector<text::Example>& examples);

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

// Completes the prompts of examples, one of each (by_prompt), up to an end-of-text id or
// max_new_tokens. Prompts begin with a BOS where the tokenizer has one, as in training. Errors: no
// examples, one without a prompt, or with neither attributes nor a completion to judge by; a prompt
// that leaves no room for max_new_tokens in the context (with the example's id).
absl::StatusOr<Generation> generate_and_judge(const model::Decoder& decoder,
                                              const text::Tokenizer& tokenizer,
                                              const std::vector<text::Example>& examples,
                                              base::RandomStream random,
                                              const GenerationOptions& options = {});

}  // namespace frugal::evaluate
