#include "report/energy_comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>

#include "base/text.h"
#include "energy/paired_rounds.h"
#include "energy/provenance.h"
#include "report/access.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;
using energy::CostKind;

struct ComparedMetric {
  const char* name;
  const char* title;
  CostKind kind;
};
// What the measure pass compares, in the order of the page.
constexpr std::array kComparedMetrics = {
    ComparedMetric{"joules_per_request", "joules for a request", CostKind::kEnergy},
    ComparedMetric{"net_joules_per_request", "joules for a request, less idle", CostKind::kEnergy},
    ComparedMetric{"prefill_joules_per_token", "joules for a token read", CostKind::kEnergy},
    ComparedMetric{"decode_joules_per_token", "joules for a token generated", CostKind::kEnergy},
    ComparedMetric{"decode_tokens_per_second", "tokens generated a second", CostKind::kSpeed},
    ComparedMetric{"prefill_tokens_per_second", "tokens read a second", CostKind::kSpeed},
    ComparedMetric{"time_to_first_token_p50", "time to the first token, median", CostKind::kTime},
    ComparedMetric{"latency_p50", "time of a request, median", CostKind::kTime},
};

// Absent where the journal does not hold what a ratio is computed from.
std::optional<std::vector<double>> log_ratios_of(const Json& row) {
  std::vector<double> out;
  for (const Json& value : list_at(row, "log_ratios")) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return std::nullopt;
    out.push_back(value.get<double>());
  }
  if (out.empty()) return std::nullopt;
  return out;
}

const char* outcome_of(const energy::PairedRounds& result) {
  if (!result.interval) return "too_few";
  if (!result.differs()) return "same";
  return result.ratio < 1 ? "less" : "more";
}

// A row of the journal with its model and where it comes from. Labels are what people call the two:
// a command of one line has no names but those of the files.
struct TurnsRow {
  Json row;
  std::string model, source, label, reference_label;
  bool itself() const { return model == text_at(row, "reference"); }
};

constexpr std::string_view kOneLineModel = "input";

std::string file_or_name(const std::string& name, const Json& runtimes, size_t index,
                         bool one_line) {
  if (!one_line || index >= runtimes.size()) return name;
  return text_at(runtimes[index], "artifact", name);
}

std::vector<TurnsRow> compared_rows(const JournalView& journal, const char* metric) {
  std::vector<TurnsRow> out;
  for (const Json& step : journal.steps) {
    const Json from = list_at(step, "from");
    if (from.empty() || !from[0].is_string()) continue;
    const std::string model = from[0].get<std::string>();
    const Json tables = object_at(step, "tables"), runtimes = list_at(tables, "runtime");
    const bool one_line = model == kOneLineModel;
    for (const Json& row : list_at(tables, "energy_comparison")) {
      if (text_at(row, "metric") != metric) continue;
      out.push_back({row, model, step_name(step), file_or_name(model, runtimes, 0, one_line),
                     file_or_name(text_at(row, "reference"), runtimes, 1, one_line)});
    }
  }
  return out;
}

Json compared_row(const TurnsRow& found, CostKind kind, int64_t comparisons) {
  Json out = {{"model", found.model},
              {"label", found.label},
              {"reference_label", found.reference_label},
              {"itself", found.itself()},
              {"source", found.source},
              {"marks", list_at(found.row, "marks")},
              {"provenance", text_at(found.row, "provenance", "measured")},
              {"ratio", nullptr},
              {"low", nullptr},
              {"high", nullptr}};
  for (const char* key :
       {"reference", "batch", "value", "reference_value", "unit", "rounds_left_out"})
    out[key] = any_at(found.row, key);
  const auto ratios = log_ratios_of(found.row);
  if (!ratios) {
    const std::string reason = text_at(found.row, "reason", "the journal holds no rounds of it");
    out["outcome"] = "unknown";
    out["verdict"] = str_cat("unknown: ", reason);
    out["reason"] = reason;
    return out;
  }
  const energy::PairedRounds result = energy::compare_rounds(*ratios, comparisons);
  out["ratio"] = result.ratio;
  if (result.interval) {
    out["low"] = result.interval->low;
    out["high"] = result.interval->high;
  }
  out["confidence"] = result.confidence;
  out["p_value"] = std::min(1.0, result.p_value * static_cast<double>(comparisons));
  out["bootstrap"] = energy::to_json(energy::bootstrap_rounds(*ratios, result.confidence));
  out["n"] = result.rounds;
  out["method"] = "randomization test over the orders drawn by lot";
  out["outcome"] = outcome_of(result);
  out["verdict"] = energy::verdict(kind, result, comparisons);
  return out;
}

// A group for each batch size of a metric.
void add_groups(const JournalView& journal, const ComparedMetric& metric, Json& groups) {
  const std::vector<TurnsRow> all = compared_rows(journal, metric.name);
  const auto comparisons = static_cast<int64_t>(
      std::count_if(all.begin(), all.end(), [](const TurnsRow& found) { return !found.itself(); }));
  std::map<int64_t, Json> by_batch;
  std::vector<int64_t> order;
  for (const TurnsRow& found : all) {
    const int64_t batch = integer_at(found.row, "batch");
    const auto [entry, added] = by_batch.try_emplace(batch, Json::array());
    if (added) order.push_back(batch);
    entry->second.push_back(compared_row(found, metric.kind, found.itself() ? 1 : comparisons));
  }
  for (const int64_t batch : order) {
    groups.push_back({{"metric", metric.name},
                      {"title", metric.title},
                      {"kind", metric.kind == CostKind::kEnergy  ? "energy"
                               : metric.kind == CostKind::kSpeed ? "speed"
                                                                 : "time"},
                      {"batch", batch},
                      {"comparisons", comparisons},
                      {"rows", by_batch[batch]}});
  }
}

// The group that says most: of energy, where it is known.
const Json& headline_group(const Json& groups) {
  for (const Json& group : groups) {
    for (const Json& row : group["rows"]) {
      if (!row["ratio"].is_null()) return group;
    }
  }
  return groups[0];
}

// "q4_k saves 23% [20, 26]", "q4_k is 12% faster [8, 16]", "q4_k shows no significant saving: …".
std::string sentence_of(const Json& row) {
  const std::string outcome = text_at(row, "outcome"), verdict = text_at(row, "verdict");
  const bool number_first = !verdict.empty() && verdict[0] >= '0' && verdict[0] <= '9';
  const char* verb = outcome == "same"                      ? " shows "
                     : outcome == "too_few"                 ? " has "
                     : outcome == "unknown" || number_first ? " is "
                                                            : " ";
  return str_cat(text_at(row, "label"), verb, verdict);
}

// " (short window)": what makes any of the rows less sure.
std::string marks_in_words(const Json& rows) {
  std::vector<std::string> marks;
  for (const Json& row : rows) {
    for (const Json& mark : list_at(row, "marks")) {
      if (mark.is_string()) energy::add_mark(mark.get<std::string>(), &marks);
    }
  }
  return marks.empty() ? "" : str_cat(" (", base::join(marks, ", "), ")");
}

// All verdicts where they are few, else how many there are of each.
std::string turns_finding(const Json& group) {
  std::vector<std::string> sentences;
  std::map<std::string, int64_t> counts;
  std::string reference;
  for (const Json& row : group["rows"]) {
    if (flag_at(row, "itself", false)) continue;
    reference = text_at(row, "reference_label");
    ++counts[text_at(row, "outcome")];
    sentences.push_back(sentence_of(row));
  }
  const std::string what = str_cat(text_at(group, "title"), " against ", reference);
  if (sentences.empty()) return str_cat("A model beside itself: ", text_at(group, "title"));
  if (sentences.size() <= 3)
    return str_cat(base::join(sentences, "; "), ", in ", what, marks_in_words(group["rows"]));
  const int64_t undecided = counts["same"] + counts["too_few"] + counts["unknown"];
  const bool speed = text_at(group, "kind") == "speed";
  return str_cat(counts["less"], speed ? " are slower, " : " take less, ", counts["more"],
                 speed ? " are faster, " : " take more, ", undecided, " cannot be told apart, in ",
                 what, marks_in_words(group["rows"]));
}

}  // namespace

Json energy_comparison_figure(const JournalView& journal) {
  Json groups = Json::array();
  for (const ComparedMetric& metric : kComparedMetrics) add_groups(journal, metric, groups);
  if (groups.empty()) return nullptr;
  const Json first = headline_group(groups);
  const int64_t comparisons = integer_at(first, "comparisons");
  const std::string together =
      comparisons > 1 ? str_cat("; ", comparisons,
                                " comparisons are looked at together, so the intervals are widened "
                                "(Bonferroni) until all hold at once with 95%")
                      : ", with 95% intervals";
  return {{"finding", turns_finding(first)},
          {"description",
           str_cat("Each model took turns with its reference, round by round in an order drawn by "
                   "lot, in the same runtime on the same prompts. Ratios of the two",
                   together,
                   ". An interval that crosses 1 shows no difference, however far the number "
                   "stands from it.")},
          {"comparisons", comparisons},
          {"headline", {{"metric", first["metric"]}, {"batch", first["batch"]}}},
          {"groups", groups}};
}

std::vector<std::string> energy_comparison_lines(const Json& figure) {
  std::vector<std::string> lines;
  if (!figure.is_object()) return lines;
  const Json chosen = object_at(figure, "headline");
  for (const Json& group : list_at(figure, "groups")) {
    if (text_at(group, "metric") != text_at(chosen, "metric") ||
        integer_at(group, "batch") != integer_at(chosen, "batch"))
      continue;
    for (const Json& row : list_at(group, "rows")) {
      std::string line =
          str_cat(sentence_of(row), ", in ", text_at(group, "title"), " at batch ",
                  integer_at(group, "batch"), " against ",
                  flag_at(row, "itself", false) ? "itself" : text_at(row, "reference_label"), " (",
                  integer_at(row, "n"), " rounds");
      const int64_t left_out = integer_at(row, "rounds_left_out");
      if (left_out > 0) line += str_cat(", ", left_out, " left out");
      for (const Json& mark : list_at(row, "marks")) {
        if (mark.is_string()) line += str_cat(", ", mark.get<std::string>());
      }
      lines.push_back(line + ")");
    }
  }
  return lines;
}

}  // namespace frugal::report
