// The verdict on the claim, in words.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/text.h"
#include "energy/provenance.h"
#include "report/access.h"
#include "report/architectures.h"
#include "report/claim.h"
#include "report/findings.h"
#include "report/metered.h"
#include "report/models.h"
#include "report/served.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

// A difference of a metric: shares in points.
std::string difference_in_words(double difference, std::string_view metric) {
  if (is_share(metric)) return absl::StrFormat("%+.1f points", 100 * difference);
  return absl::StrFormat("%+.4g", difference);
}

// "AMD EPYC 7B13, 2 cores, cpu".
std::string machine_in_words(const Json& machine) {
  std::vector<std::string> parts;
  const std::string cpu = text_at(machine, "cpu"), device = text_at(machine, "device");
  parts.push_back(cpu.empty() ? "machine unknown" : cpu);
  if (integer_at(machine, "cores") > 0)
    parts.push_back(str_cat(integer_at(machine, "cores"), " cores"));
  if (!device.empty() && device != "cpu") parts.push_back(device);
  return base::join(parts, ", ");
}

struct Candidate {
  const Json* row;
  const Json* model;
  const Json* served;  // in the runtime that was scored; null: frugal's own forward
  double size_bytes;   // what to choose by
};

double size_of(const Json& model) {
  const Json* number = find_number(model, "weight_bytes");
  return number == nullptr ? std::numeric_limits<double>::infinity()
                           : (*number)["value"].get<double>();
}

// The row of energy_comparison.h in which the two took turns, or null.
Json turns_of(const Json& compared, const Json& row, const Json& baseline) {
  for (const Json& group : list_at(compared, "groups")) {
    if (text_at(group, "metric") != kResponseEnergy) continue;
    for (const Json& one : group["rows"]) {
      if (text_at(one, "model") == text_at(row, "model") &&
          text_at(one, "reference") == text_at(baseline, "model") &&
          any_at(one, "ratio").is_number())
        return one;
    }
  }
  return nullptr;
}

// Joules for a response against those of the baseline's artifact in the same runtime: as rounds
// tell them in which both took turns, else by their means; where chance may have made the
// difference, there is no ratio to tell.
std::string served_ratio(const Json& row, const Json* baseline, const Json& compared) {
  const Json* joules = find_number(row, kResponseEnergy);
  const Json* full =
      baseline == nullptr || baseline == &row ? nullptr : find_number(*baseline, kResponseEnergy);
  if (joules == nullptr || full == nullptr || !(number_at(*full, "value") > 0)) return "";
  const std::string whose = text_at(*baseline, "label");
  const Json turns = turns_of(compared, row, *baseline);
  const std::string outcome = text_at(turns, "outcome");
  const bool apart = turns.is_null() ? told_apart(*joules, *full, -1) != 0
                                     : outcome == "less" || outcome == "more";
  if (!apart) return str_cat("joules per response not told apart from those of ", whose);
  std::vector<std::string> words = {text_at(*joules, "provenance", "measured")}, marks;
  for (const Json* number : {joules, full, &turns}) {
    for (const Json& mark : list_at(*number, "marks")) {
      if (mark.is_string()) energy::add_mark(mark.get<std::string>(), &marks);
    }
  }
  if (!marks.empty()) words.push_back("less sure: " + base::join(marks, ", "));
  const std::string times =
      turns.is_null()
          ? absl::StrFormat("%.2f", number_at(*joules, "value") / number_at(*full, "value"))
          : absl::StrFormat("%.2f [%.2f, %.2f]", number_at(turns, "ratio"), number_at(turns, "low"),
                            number_at(turns, "high"));
  return str_cat(times, " times the joules per response of ", whose, " (", base::join(words, ", "),
                 ")");
}

// " at 12% of its bytes", and what serving takes; of a checkpoint whose architecture is another one
// than the baseline's " and 0.41 times its architecture's joules per token (modelled)".
std::string savings(const Json& student, const Json* baseline, const Json& architectures,
                    const std::string& of_served) {
  if (baseline == nullptr) return "";
  std::vector<std::string> parts;
  const Json* size = find_number(student, "weight_bytes");
  const Json* full = find_number(*baseline, "weight_bytes");
  if (size != nullptr && full != nullptr && (*full)["value"].get<double>() > 0) {
    parts.push_back(absl::StrFormat("%.0f%% of its bytes", 100 * (*size)["value"].get<double>() /
                                                               (*full)["value"].get<double>()));
  }
  if (!of_served.empty()) parts.push_back(of_served);
  const bool other = of_other_architecture(student, *baseline);
  const Json* joules = other ? architecture_number(architectures, student, kEnergy) : nullptr;
  const Json* full_joules =
      other ? architecture_number(architectures, *baseline, kEnergy) : nullptr;
  if (joules != nullptr && full_joules != nullptr && number_at(*full_joules, "value") > 0 &&
      told_apart(*joules, *full_joules, -1) != 0) {
    parts.push_back(
        absl::StrFormat("%.2f times its architecture's joules per token (%s)",
                        (*joules)["value"].get<double>() / (*full_joules)["value"].get<double>(),
                        text_at(*joules, "provenance", "measured")));
  }
  return parts.empty() ? "" : str_cat(" at ", base::join(parts, " and "));
}

bool lower_is_better(const Json& row) { return text_at(row, "better", "higher") == "lower"; }

// A difference with the sign that makes more of it better.
double gained(const Json& row, std::string_view bound, double unknown) {
  const double value = number_at(row, bound, std::numeric_limits<double>::quiet_NaN());
  if (std::isnan(value)) return unknown;
  return lower_is_better(row) ? -value : value;
}

// What is gained at worst, by the row's interval.
double at_worst(const Json& row) {
  return gained(row, lower_is_better(row) ? "high" : "low", -1e300);
}

// Smaller first; of equal sizes the one that lost less.
bool smaller(const Candidate& a, const Candidate& b) {
  if (a.size_bytes != b.size_bytes) return a.size_bytes < b.size_bytes;
  return gained(*a.row, "difference", -1e300) > gained(*b.row, "difference", -1e300);
}

// Every model whose claim was tested against the baseline. Where artifacts were scored in their
// runtimes, these alone: they are what is shipped.
std::vector<Candidate> candidates(std::string_view metric, const Json& models,
                                  const Json& comparisons, const Json& served,
                                  const std::string& baseline) {
  std::vector<Candidate> all;
  bool any_served = false;
  for (const Json& row : comparisons) {
    const std::string name = text_at(row, "model");
    const Json* model = find_model(models, name);
    // What is compared with another model than the baseline has no verdict.
    const bool tested = text_at(row, "metric") == metric && !text_at(row, "verdict").empty();
    if (!tested || model == nullptr || name == baseline) continue;
    const Json* in_runtime =
        flag_at(row, "served", false) ? find_served(served, name, text_at(row, "engine")) : nullptr;
    if (in_runtime != nullptr && text_at(*in_runtime, "role") == "baseline") continue;
    any_served = any_served || in_runtime != nullptr;
    all.push_back({&row, model, in_runtime, size_of(in_runtime != nullptr ? *in_runtime : *model)});
  }
  if (any_served) std::erase_if(all, [](const Candidate& c) { return c.served == nullptr; });
  return all;
}

std::string margin_in_words(const Json& claim, std::string_view metric) {
  const double margin = number_at(claim, "margin");
  if (text_at(claim, "kind", "absolute") == "relative")
    return absl::StrFormat("%.3g%%", 100 * margin);
  return is_share(metric) ? absl::StrFormat("%.1f points", 100 * margin)
                          : absl::StrFormat("%.4g", margin);
}

// "gguf/q4_0 in llama.cpp".
std::string named(const Candidate& candidate) {
  const std::string name = text_at(*candidate.row, "model");
  return candidate.served == nullptr ? name
                                     : str_cat(name, " in ", text_at(*candidate.served, "runtime"));
}

// The one that a verdict is about: of those that hold the smallest, else the one nearest to it.
const Candidate& chosen(const std::vector<Candidate>& pool, bool kept) {
  return kept ? *std::min_element(pool.begin(), pool.end(),
                                  [](auto& a, auto& b) { return smaller(a, b); })
              : *std::max_element(pool.begin(), pool.end(), [](auto& a, auto& b) {
                  return at_worst(*a.row) < at_worst(*b.row);
                });
}

// How the one that holds was found, and what chance may have to do with it.
std::string chosen_of(size_t held, size_t all) {
  if (all == 1) return "The claim was declared before anything ran.";
  std::string text =
      str_cat(held, " of ", all, held == 1 ? " compared models meets" : " compared models meet",
              " the claim, declared before anything ran");
  text += held == 1 ? "." : "; this is the smallest of them.";
  if (held < all) text += " Each was tested by itself, so that one of many may meet it by chance.";
  return text;
}

std::string joules_in_words(const Json& row) {
  const Json* joules = find_number(row, kResponseEnergy);
  if (joules == nullptr) return "";
  std::string text = absl::StrFormat(" A response takes %.3g J", number_at(*joules, "value"));
  if (any_at(*joules, "low").is_number() && any_at(*joules, "high").is_number())
    text +=
        absl::StrFormat(" (%.3g to %.3g)", number_at(*joules, "low"), number_at(*joules, "high"));
  return str_cat(text, ", ", text_at(*joules, "provenance", "measured"), ".");
}

Json about(const Candidate& candidate, const Json& machine) {
  const std::string engine = text_at(*candidate.row, "engine");
  const bool served = candidate.served != nullptr;
  const std::string file = served ? text_at(*candidate.served, "file") : "";
  const std::string name = text_at(*candidate.row, "model");
  return {{"artifact", served ? (file.empty() ? name : str_cat(name, ", ", file))
                              : str_cat(name, ", a checkpoint")},
          {"runtime", served ? engine
                             : str_cat("none: ", engine.empty() ? "frugal's own forward" : engine,
                                       " computed it")},
          {"machine", machine_in_words(machine)}};
}

Json claim_verdict(const Json& claim, const Json& models, const std::vector<Candidate>& all,
                   const Json& architectures, const Json& served, const Json& compared,
                   const std::string& baseline, const Json& machine) {
  const std::string metric = text_at(claim, "metric");
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
  const Candidate& best = chosen(kept ? held : all, kept);
  const std::string margin = margin_in_words(claim, metric);
  const std::string against =
      absl::StrFormat("%s, %.0f%% interval %s to %s, n = %d",
                      difference_in_words(number_at(*best.row, "difference", NAN), metric),
                      100 * number_at(*best.row, "confidence", 0.95),
                      difference_in_words(number_at(*best.row, "low", NAN), metric),
                      difference_in_words(number_at(*best.row, "high", NAN), metric),
                      static_cast<int64_t>(number_at(*best.row, "n", 0)));
  if (kept) {
    const Json* full = find_model(models, baseline);
    const Json& sized = best.served != nullptr ? *best.served : *best.model;
    const std::string of_served =
        best.served == nullptr
            ? ""
            : served_ratio(*best.served, served_baseline(served, *best.served), compared);
    return {{"status", "kept"},
            {"sentence", str_cat(named(best), " keeps ", metric, " within ", margin, " of ",
                                 baseline, savings(sized, full, architectures, of_served), ".")},
            {"detail", str_cat("Difference ", against, ". ", chosen_of(held.size(), all.size()),
                               best.served == nullptr ? "" : joules_in_words(*best.served))},
            {"about", about(best, machine)}};
  }
  const std::string why = text_at(*best.row, "verdict");
  const bool too_few = why == "too few items";
  return {{"status", too_few ? "not_shown" : "lost"},
          {"sentence", str_cat("No model was shown to keep ", metric, " within ", margin, " of ",
                               baseline, too_few ? ": there are too few items to tell." : ".")},
          {"detail", str_cat("Nearest is ", named(best), ": difference ", against, ". ",
                             text_at(*best.row, "explanation"))},
          {"about", about(best, machine)}};
}

}  // namespace

Json verdict(const JournalView& journal, const Json& models, const Json& comparisons,
             const Json& architectures, const Json& served, const Json& compared) {
  for (const Json& step : journal.steps) {
    if (text_at(step, "event") == "step_failed") {
      return {{"status", "failed"},
              {"sentence", str_cat("The run failed at step ", step_name(step), ".")},
              {"detail", text_at(step, "error")}};
    }
  }
  const Json* claim = claim_of(journal);
  const std::string baseline = baseline_of(journal);
  if (claim != nullptr) {
    return claim_verdict(
        *claim, models,
        candidates(text_at(*claim, "metric"), models, comparisons, served, baseline), architectures,
        served, compared, baseline, object_at(journal.run_start, "machine"));
  }
  const auto count = static_cast<int64_t>(models.size());
  Json out = {
      {"status", "no_claim"},
      {"sentence", str_cat("The run made and looked at ", count, count == 1 ? " model" : " models",
                           ", and declared no claim to test.")},
      {"detail",
       "Declare one under `report: claim:` in the pipeline, with a metric and a margin, before it "
       "runs."}};
  if (served.size() == 1) {
    out["about"] = {{"artifact", served[0]["label"]},
                    {"runtime", served[0]["engine"]},
                    {"machine", machine_in_words(object_at(journal.run_start, "machine"))}};
  }
  return out;
}

}  // namespace frugal::report
