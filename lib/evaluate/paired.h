// Two models on the same items: is one different, is it not worse by more than a margin, how many
// answers changed. Free of LibTorch.
//
// Scores are "higher is better" throughout; d_i = candidate_i - reference_i. A metric where lower
// is better (a negative log-likelihood) is handed in with its sign turned.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "evaluate/statistics.h"

namespace frugal::evaluate {

// McNemar's test (1947): "do the two models differ?" It never says that they are equivalent.
struct McNemar {
  int64_t candidate_only = 0;  // items that only the candidate got right
  int64_t reference_only = 0;
  double p_value = 1.0;  // two-sided
  std::string method;    // "exact", "normal"
};
McNemar mcnemar_exact(int64_t candidate_only, int64_t reference_only);
McNemar mcnemar_normal(int64_t candidate_only,
                       int64_t reference_only);  // z = (b - c) / sqrt(b + c)
// Exact up to 1,000 discordant items, where the normal form is as good.
McNemar mcnemar(int64_t candidate_only, int64_t reference_only);

// Two-sided interval of the difference of two paired shares, (candidate_only - reference_only) / n:
// Wald's with half an item added to each of the four cells (Agresti & Min, Statistics in Medicine
// 24, 2005), which does not collapse without flips.
Interval paired_share_interval(int64_t candidate_only, int64_t reference_only, int64_t n,
                               double confidence = 0.95);

// Candidate's statistic minus reference's, both over the same resampled items: a two-sided
// interval, and the p value of "they do not differ": how often the resampled differences, moved so
// that their mean is 0, are as large as the one seen, with one added to both counts (as sacrebleu's
// paired bootstrap). Absent below two items.
struct PairedDifference {
  Interval interval;
  double p_value = 1.0;
};
std::optional<PairedDifference> paired_bootstrap(int64_t items, const IndexStatistic& candidate,
                                                 const IndexStatistic& reference,
                                                 base::RandomStream random,
                                                 const BootstrapOptions& options = {});

enum class MarginKind { kAbsolute, kRelative };
// How much worse the candidate may be. Relative: a share of the reference's mean score ("2% of
// 0.70" is 0.014).
struct Margin {
  double value = 0.0;
  MarginKind kind = MarginKind::kAbsolute;
};
absl::StatusOr<MarginKind> parse_margin_kind(std::string_view text);  // "absolute", "relative"

enum class Verdict { kClaimed, kNotClaimed, kTooFewItems };
std::string_view to_string(Verdict verdict);  // "claimed", "not claimed", "too few items"

struct NonInferiority {
  int64_t n = 0;
  double difference = 0.0;       // mean of d
  double standard_error = 0.0;   // of the difference, as tested (see below)
  double one_sided_low = 0.0;    // difference - z * standard_error; claimed when above -margin
  double margin = 0.0;           // absolute, in the score's unit
  double discordance = 0.0;      // share of items with d != 0: flips
  double smallest_margin = 0.0;  // provable with these n items, 80% power, if there is no true loss
  int64_t items_needed =
      0;  // for `margin` at this discordance, 80% power, if there is no true loss
  double confidence = 0.95;  // one-sided
  Verdict verdict = Verdict::kTooFewItems;
  std::string explanation;  // one sentence with the numbers
};

// Paired non-inferiority: claimed when mean(d) - z * SE > -m, one-sided 5%, SE^2
// = var(d) / n, which for right/wrong scores is (psi - delta^2) / n. A relative margin is tested as
// mean(s - (1 - m) r) > 0, so that the reference's own uncertainty counts.
// - Right/wrong scores (all 0 or 1): var(d) is at least m (1 - m), its smallest value under the
// hypothesis "the loss is m";
//   otherwise three items without a flip would prove anything.
// - Fewer than 30 items: the normal approximation has no ground; always kTooFewItems.
// - kTooFewItems also when the claim fails, n is below items_needed and the loss is not shown to
// exceed the margin either. Errors: no items, unequal counts, a score that is not finite, margin
// not above 0, a relative margin where the reference's mean is not positive.
absl::StatusOr<NonInferiority> non_inferiority(std::span<const double> candidate,
                                               std::span<const double> reference,
                                               const Margin& margin);

// The same before any answer is known, of right/wrong scores, with 80% power where there is no true
// loss and a share `discordance` of the answers differs: the smallest margin that `items` prove,
// and the items that an absolute `margin` needs.
double smallest_margin(int64_t items, double discordance);
int64_t items_needed(double margin, double discordance);
// The largest share of differing answers at which `items` prove `margin` so; negative where they
// prove it at none.
double provable_discordance(int64_t items, double margin);

// Share of items whose scores differ.
double discordance(std::span<const double> candidate, std::span<const double> reference);

// Holm's step-down correction (1979): adjusted p values in the order given.
std::vector<double> holm(std::span<const double> p_values);

}  // namespace frugal::evaluate
