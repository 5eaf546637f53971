// Rows of the journal's `comparison` table: a model against its reference on the same items.
//
// {metric, reference, value, reference_value, difference, low, high, confidence, n, method,
// discordant, margin, verdict}, and besides: better ("higher" or "lower"), one_sided_low,
// smallest_margin, items_needed, p_value ("they do not differ": McNemar's test of right answers, a
// paired bootstrap of all else), p_value_holm over all rows of the step, floor ("at chance", "none
// right") where the reference owes its score to nothing else, explanation. `difference` is value -
// reference_value in the metric's own unit; what does not apply is null.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "base/status.h"
#include "evaluate/classification.h"
#include "evaluate/divergence.h"
#include "evaluate/generation.h"
#include "evaluate/task_items.h"
#include "passes/evaluate/options.h"

namespace frugal::passes {

struct ComparisonContext {
  std::string reference;  // its name
  std::vector<EvaluateClaim> claims;
  base::RandomStream random;

  // What is claimed of `metric`; the first claim counts.
  std::optional<evaluate::Margin> margin_of(std::string_view metric) const;
};

// Rows <task>/accuracy (McNemar's p) and <task>/macro_f1. Errors: the items are not the same ones.
absl::StatusOr<std::vector<base::Json>> compare(
    std::string_view task, const std::vector<evaluate::ClassificationItem>& items,
    const std::vector<evaluate::ClassificationItem>& reference, const ComparisonContext& context);

// Row <task>/coverage where the items have attributes, and <task>/bleu, chrf, rouge_l, rouge_lsum
// where they have references. Errors: the items are not the same ones.
absl::StatusOr<std::vector<base::Json>> compare(
    std::string_view task, const std::vector<evaluate::GenerationItem>& items,
    const std::vector<evaluate::GenerationItem>& reference, const ComparisonContext& context);

// One row for each metric of a task file. Errors: the items are not the same ones.
absl::StatusOr<std::vector<base::Json>> compare(std::string_view task,
                                                const evaluate::TaskScores& scores,
                                                const evaluate::TaskScores& reference,
                                                const ComparisonContext& context);

// Row `metric`, a perplexity; lower is better. A relative margin m allows a ratio of 1 + m, tested
// on the documents' mean log-likelihoods.
absl::StatusOr<base::Json> compare(std::string_view metric, const evaluate::Divergence& divergence,
                                   const ComparisonContext& context);

// Whether all values are 0 or 1: then shares are compared and bounded as such.
bool is_right_or_wrong(std::span<const double> values);

// Adds p_value_holm to the rows that have a p_value: Holm's correction over all of them.
void adjust_p_values(std::vector<base::Json>& rows);

}  // namespace frugal::passes
