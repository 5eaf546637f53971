// Label classification by likelihood: the label whose text the model finds most probable behind the
// prompt.
//
// Prompt and label are tokenized together, because the border may fall inside a token; what counts
// are the tokens behind the part that the prompt alone and all labelled texts share, so every label
// of an example is scored from the same context. The score is the plain sum of log-probabilities
// (lm-evaluation-harness' `acc`), not divided by any length; the first of equal scores wins.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "evaluate/scoring.h"
#include "evaluate/statistics.h"
#include "model/decoder.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace frugal::evaluate {

struct ClassificationItem {
  std::string id;
  std::string label;  // the right one
  std::string predicted;
  bool right = false;
  std::vector<std::string> labels;  // the candidates, in the data's order
  std::vector<double> scores;       // sum of ln p, one per candidate
  std::vector<int64_t> tokens;      // tokens scored, one per candidate
};

struct Classification {
  std::vector<ClassificationItem> items;
  double accuracy = 0.0;
  Interval accuracy_interval;                 // Wilson
  double macro_f1 = 0.0;                      // unweighted mean of the labels' F1
  std::optional<Interval> macro_f1_interval;  // bootstrap over items
  double calibration_error =
      0.0;  // ECE, 10 equal bins of the predicted label's probability among the candidates
};

// Unweighted mean over all labels that occur (as truth or prediction) of F1 = 2 tp / (2 tp + fp +
// fn), over the items named by `indices`.
double macro_f1(const std::vector<ClassificationItem>& items, std::span<const int64_t> indices);
// Expected calibration error (Guo et al., 2017): sum over bins of share * |accuracy - mean
// confidence|.
double expected_calibration_error(const std::vector<ClassificationItem>& items, int64_t bins = 10);
// Accuracy, F1, calibration and their intervals for `items`.
Classification summarize_classification(std::vector<ClassificationItem> items,
                                        base::RandomStream random);

// The same by whatever scores. Sequences are no longer than `context_length`. Errors: as below.
absl::StatusOr<Classification> classify(const Scorer& scorer, int64_t context_length,
                                        const text::Tokenizer& tokenizer,
                                        const std::vector<text::Example>& examples,
                                        base::RandomStream random);

// Scores examples that carry labels. Sequences begin with a BOS where the tokenizer has one, as in
// training. Errors: an example without labels or whose label is none of its candidates, a label
// without tokens of its own, a text longer than the context (with the example's id).
absl::StatusOr<Classification> classify(const model::Decoder& decoder,
                                        const text::Tokenizer& tokenizer,
                                        const std::vector<text::Example>& examples,
                                        base::RandomStream random,
                                        const ScoreOptions& options = {});

}  // namespace frugal::evaluate
