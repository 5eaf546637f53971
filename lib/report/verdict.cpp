// The verdict on the claim, in words.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/claim.h"
#include "report/findings.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

// A difference of a metric: shares in points.
std::string difference_in_words(double difference, std::string_view metric) {
  if (is_share(metric)) return absl::StrFormat("%+.1f points", 100 * difference);
  return absl::StrFormat("%+.4g", difference);
}

struct Candidate {
  const Json* row;
  const Json* model;
  double size_bytes;  // what to choose by
};

double size_of(const Json& model) {
  const Json* number = find_number(model, "weight_bytes");
  return number == nullptr ? std::numeric_limits<double>::infinity()
                           : (*number)["value"].get<double>();
}

// " at 12% of its bytes", and where the student's architecture is another one than the baseline's
// also what that saves: " and 0.41 times its architecture's joules per token (modelled)".
std::string savings(const Json& student, const Json* baseline, const Json& architectures) {
  if (baseline == nullptr) return "";
  std::vector<std::string> parts;
  const Json* size = find_number(student, "weight_bytes");
  const Json* full = find_number(*baseline, "weight_bytes");
  if (size != nullptr && full != nullptr && (*full)["value"].get<double>() > 0) {
    parts.push_back(absl::StrFormat("%.0f%% of its bytes", 100 * (*size)["value"].get<double>() /
                                                               (*full)["value"].get<double>()));
  }
  const bool other = of_other_architecture(student, *baseline);
  const Json* joules = other ? architecture_number(architectures, student, kEnergy) : nullptr;
  const Json* full_joules =
      other ? architecture_number(architectures, *baseline, kEnergy) : nullptr;
  if (joules != nullptr && full_joules != nullptr && (*full_joules)["value"].get<double>() > 0) {
    parts.push_back(
        absl::StrFormat("%.2f times its architecture's joules per token (%s)",
                        (*joules)["value"].get<double>() / (*full_joules)["value"].get<double>(),
                        text_at(*joules, "provenance", "measured")));
  }
  return parts.empty() ? "" : str_cat(" at ", base::join(parts, " and "));
}

// Smaller first; of equal sizes the one that lost less.
bool smaller(const Candidate& a, const Candidate& b) {
  if (a.size_bytes != b.size_bytes) return a.size_bytes < b.size_bytes;
  return number_at(*a.row, "difference", -1e300) > number_at(*b.row, "difference", -1e300);
}

Json claim_verdict(const Json& claim, const Json& models, const Json& comparisons,
                   const Json& architectures, const std::string& baseline) {
  const std::string metric = text_at(claim, "metric");
  std::vector<Candidate> all;
  for (const Json& row : comparisons) {
    const Json* model = find_model(models, text_at(row, "model"));
    if (text_at(row, "metric") == metric && model != nullptr && text_at(row, "model") != baseline) {
      all.push_back({&row, model, size_of(*model)});
    }
  }
  if (all.empty()) {
    return {{"status", "not_shown"},
            {"sentence",
             str_cat("The claim about ", metric,
                     " was not tested: no evaluation compares a model with ", baseline, " on it.")},
            {"detail", ""}};
  }
  std::vector<Candidate> held;
  for (const Candidate& c : all) {
    if (text_at(*c.row, "verdict") == "claimed") held.push_back(c);
  }
  const bool kept = !held.empty();
  const std::vector<Candidate>& pool = kept ? held : all;
  const Candidate& best =
      kept ? *std::min_element(pool.begin(), pool.end(),
                               [](auto& a, auto& b) { return smaller(a, b); })
           : *std::max_element(pool.begin(), pool.end(), [](auto& a, auto& b) {
               return number_at(*a.row, "low", -1e300) < number_at(*b.row, "low", -1e300);
             });
  const std::string name = text_at(*best.row, "model");
  const std::string margin = is_share(metric)
                                 ? absl::StrFormat("%.1f points", 100 * number_at(claim, "margin"))
                                 : absl::StrFormat("%.4g", number_at(claim, "margin"));
  const std::string against =
      absl::StrFormat("%s, %.0f%% interval %s to %s, n = %d",
                      difference_in_words(number_at(*best.row, "difference", NAN), metric),
                      100 * number_at(*best.row, "confidence", 0.95),
                      difference_in_words(number_at(*best.row, "low", NAN), metric),
                      difference_in_words(number_at(*best.row, "high", NAN), metric),
                      static_cast<int64_t>(number_at(*best.row, "n", 0)));
  const Json* full = find_model(models, baseline);
  if (kept) {
    return {{"status", "kept"},
            {"sentence", str_cat(name, " keeps ", metric, " within ", margin, " of ", baseline,
                                 savings(*best.model, full, architectures), ".")},
            {"detail", str_cat("Difference ", against, ". ", static_cast<int64_t>(held.size()),
                               " of ", static_cast<int64_t>(all.size()),
                               " compared models meet the claim, declared before anything ran.")}};
  }
  const std::string why = text_at(*best.row, "verdict");
  const bool too_few = why == "too few items";
  return {{"status", too_few ? "not_shown" : "lost"},
          {"sentence", str_cat("No model was shown to keep ", metric, " within ", margin, " of ",
                               baseline, too_few ? ": there are too few items to tell." : ".")},
          {"detail", str_cat("Nearest is ", name, ": difference ", against, ". ",
                             text_at(*best.row, "explanation"))}};
}

}  // namespace

Json verdict(const JournalView& journal, const Json& models, const Json& comparisons,
             const Json& architectures) {
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") == "step_failed") {
      return {{"status", "failed"},
              {"sentence", str_cat("The run failed at step ", step_name(step), ".")},
              {"detail", text_at(step, "error")}};
    }
  }
  const Json* claim = claim_of(journal);
  const std::string baseline = baseline_of(journal);
  if (claim != nullptr) return claim_verdict(*claim, models, comparisons, architectures, baseline);
  const auto count = static_cast<int64_t>(models.size());
  return {
      {"status", "no_claim"},
      {"sentence", str_cat("The run made and looked at ", count, count == 1 ? " model" : " models",
                           ", and declared no claim to test.")},
      {"detail",
       "Declare one under `report: claim:` in the pipeline, with a metric and a margin, before it "
       "runs."}};
}

}  // namespace frugal::report
