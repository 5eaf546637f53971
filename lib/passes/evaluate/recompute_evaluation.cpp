// Tested by: tests/passes/recompute_test.cpp
#include "passes/evaluate/recompute_evaluation.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/file.h"
#include "evaluate/items.h"
#include "evaluate/task_items.h"
#include "passes/common/serving.h"
#include "passes/evaluate/comparison.h"
#include "passes/evaluate/results.h"
#include "passes/evaluate/task_files.h"

namespace frugal::passes {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::json_get;
using base::str_cat;
using Lines = std::vector<Json>;

template <typename Item>
absl::StatusOr<std::vector<Item>> items_of(const Lines& lines,
                                           absl::StatusOr<Item> (*read)(const Json&,
                                                                        std::string_view),
                                           const std::string& where) {
  std::vector<Item> items;
  for (const Json& line : lines) {
    FRUGAL_ASSIGN_OR_RETURN(Item item, read(line, str_cat(where, " item ", items.size())));
    items.push_back(std::move(item));
  }
  return items;
}

absl::StatusOr<evaluate::WindowDivergence> divergence_item(const Json& line,
                                                           std::string_view where) {
  evaluate::WindowDivergence item;
  FRUGAL_ASSIGN_OR_RETURN(item.tokens, json_get<int64_t>(line, "tokens", where));
  FRUGAL_ASSIGN_OR_RETURN(item.kl, json_get<double>(line, "kl", where));
  FRUGAL_ASSIGN_OR_RETURN(item.same_top, json_get<double>(line, "same_top", where));
  FRUGAL_ASSIGN_OR_RETURN(item.document, json_get<int64_t>(line, "document", where));
  FRUGAL_ASSIGN_OR_RETURN(item.delta_p, json_get<double>(line, "delta_p", where));
  FRUGAL_ASSIGN_OR_RETURN(item.delta_p_squared, json_get<double>(line, "delta_p_squared", where));
  FRUGAL_ASSIGN_OR_RETURN(item.expected_acceptance,
                          json_get<double>(line, "expected_acceptance", where));
  FRUGAL_ASSIGN_OR_RETURN(item.nll, json_get<double>(line, "nll", where));
  FRUGAL_ASSIGN_OR_RETURN(item.reference_nll, json_get<double>(line, "reference_nll", where));
  return item;
}

// What an items file holds, by the fields of its first line.
enum class Kind { kClassification, kGeneration, kTask, kPerplexity, kDivergence, kOther };
Kind kind_of(const Lines& lines) {
  if (lines.empty()) return Kind::kOther;
  const Json& first = lines.front();
  if (first.contains("metrics")) return Kind::kTask;
  if (first.contains("mentioned")) return Kind::kGeneration;
  if (first.contains("right") && first.contains("scores")) return Kind::kClassification;
  if (first.contains("kl")) return Kind::kDivergence;
  if (first.contains("nll") && first.contains("tokens")) return Kind::kPerplexity;
  return Kind::kOther;
}

// The report's claim, where the step tested it: its verdict stands in the step's comparisons then.
std::optional<pass::Claim> declared_claim(const Json& run_start, const Json& step) {
  const Json declared = run_start.value("report", Json::object()).value("claim", Json());
  if (!declared.is_object()) return std::nullopt;
  const pass::Claim claim{.metric = declared.value("metric", ""),
                          .margin = declared.value("margin", 0.0),
                          .kind = declared.value("kind", "absolute")};
  for (const Json& row : step.value("tables", Json::object()).value("comparison", Json::array())) {
    if (row.value("metric", "") == claim.metric && row.value("verdict", Json()).is_string())
      return claim;
  }
  return std::nullopt;
}

std::vector<EvaluateClaim> claims_of_step(const Json& run_start, const Json& step) {
  const Json options = step.value("options", Json::object());
  EvaluateOptions claimed;
  claimed.margin = options.value("margin", 0.0);
  claimed.margin_kind = options.value("margin_kind", "absolute");
  claimed.metric = options.value("metric", "");
  return claims_of(claimed, declared_claim(run_start, step));
}

class Evaluated {
 public:
  Evaluated(const Json& run_start, const std::vector<Json>& steps, const Json& step,
            const fs::path& run)
      : seed_(run_start.value("seed", uint64_t{0})),
        claims_(claims_of_step(run_start, step)),
        step_(step),
        run_(run),
        reference_(find_reference(steps)) {}

  absl::StatusOr<pass::Recomputed> recompute() {
    const fs::path folder = items_folder(step_);
    std::error_code error;
    std::vector<fs::path> files;
    for (auto entry = fs::directory_iterator(folder, error);
         !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (entry->path().extension() == ".jsonl") files.push_back(entry->path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
      FRUGAL_ASSIGN_OR_RETURN(const Lines lines, evaluate::read_jsonl(file));
      FRUGAL_RETURN_IF_ERROR(one(file.stem().string(), lines));
    }
    adjust();
    return std::move(out_);
  }

 private:
  base::RandomStream random(std::string_view purpose) const {
    return base::RandomStream(seed_, str_cat("evaluate/", purpose));
  }
  fs::path items_folder(const Json& step) const {
    return run_ / "items" / step.value("id", "") / step.value("variant", "");
  }

  // The step that evaluated the reference with the same options, in the forward that the reference
  // is computed by.
  const Json* find_reference(const std::vector<Json>& steps) const {
    const Json options = step_.value("options", Json::object());
    const std::string name = options.value("reference", "");
    for (const Json& other : steps) {
      const Json from = other.value("from", Json::array());
      const bool same = other.value("id", "") == step_.value("id", "") && !from.empty() &&
                        from[0].get<std::string>() == name &&
                        other.value("options", Json::object()) == options;
      if (!same) continue;
      const Json runtime = other.value("tables", Json::object()).value("runtime", Json::array());
      if (!runtime.empty() && runtime[0].value("runtime", "") == kOwnForward) return &other;
    }
    return nullptr;
  }

  absl::StatusOr<std::optional<Lines>> reference_lines(const std::string& stem) const {
    if (reference_ == nullptr || reference_ == &step_) return std::nullopt;
    if (items_folder(*reference_) == items_folder(step_)) return std::nullopt;
    const fs::path file = items_folder(*reference_) / (stem + ".jsonl");
    FRUGAL_ASSIGN_OR_RETURN(const bool exists, base::exists(file));
    if (!exists) return std::nullopt;
    FRUGAL_ASSIGN_OR_RETURN(Lines lines, evaluate::read_jsonl(file));
    return std::optional<Lines>(std::move(lines));
  }

  ComparisonContext comparison(std::string_view purpose) const {
    return {step_.value("options", Json::object()).value("reference", ""), claims_,
            random(str_cat("compare/", purpose))};
  }

  void add(const std::vector<pass::Statistic>& statistics) {
    for (const pass::Statistic& statistic : statistics) {
      if (!statistic.value) continue;
      const Json whole = pass::to_json(statistic);
      Json again;
      for (const char* key : {"name", "value", "low", "high", "confidence", "n", "method"}) {
        if (whole.contains(key)) again[key] = whole[key];
      }
      out_.statistics.push_back(std::move(again));
    }
  }

  Json recorded_rows() const {
    return step_.value("tables", Json::object()).value("comparison", Json::array());
  }

  // A step that was compared with another evaluation of the reference (of another machine, in
  // another batch) cannot be repeated from this one.
  void add_rows(const std::vector<Json>& rows) {
    for (const Json& row : rows) {
      const std::string metric = row.value("metric", "");
      for (const Json& recorded : recorded_rows()) {
        if (recorded.value("metric", "") != metric) continue;
        // How many choices guessing has, items of task files do not say.
        if (recorded.contains("floor") && !row.contains("floor")) {
          out_.not_computed.push_back(str_cat("the comparison of ", metric,
                                              ", whose verdict rests on what guessing gives"));
          continue;
        }
        const Json was = recorded.value("reference_value", Json());
        const Json is = row.value("reference_value", Json());
        if (is.is_number() && was.is_number() &&
            std::abs(is.get<double>() - was.get<double>()) <= 1e-9 * std::abs(was.get<double>()))
          out_.comparisons.push_back(row);
        else
          out_.not_computed.push_back(str_cat("the comparison of ", metric,
                                              ": the reference's items are not those of step ",
                                              reference_->value("variant", "")));
      }
    }
  }

  // Correction over several tests needs all of them; where one is missing, it cannot be repeated.
  void adjust() {
    if (recorded_rows().size() == out_.comparisons.size()) adjust_p_values(out_.comparisons);
  }

  absl::Status one(const std::string& stem, const Lines& lines) {
    switch (kind_of(lines)) {
      case Kind::kClassification:
        return classification(stem, lines);
      case Kind::kGeneration:
        return generation(stem, lines);
      case Kind::kTask:
        return task(stem, lines);
      case Kind::kPerplexity:
        return perplexity(stem, lines);
      case Kind::kDivergence:
        return divergence(stem, lines);
      case Kind::kOther:
        return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  absl::Status classification(const std::string& name, const Lines& lines) {
    FRUGAL_ASSIGN_OR_RETURN(const auto items, items_of(lines, evaluate::classification_item, name));
    add(statistics_of(name, evaluate::summarize_classification(items, random(name))));
    FRUGAL_ASSIGN_OR_RETURN(const auto other, reference_lines(name));
    if (!other) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto reference,
                            items_of(*other, evaluate::classification_item, "reference"));
    FRUGAL_ASSIGN_OR_RETURN(auto rows, compare(name, items, reference, comparison(name)));
    doubt_floors(name, questions_of(items), rows);
    add_rows(std::move(rows));
    return absl::OkStatus();
  }

  absl::Status generation(const std::string& stem, const Lines& lines) {
    // A task of both kinds keeps its texts under a name of their own.
    constexpr std::string_view kSuffix = "-generation";
    std::string name = stem;
    const Json recorded = step_.value("statistics", Json::array());
    const bool own = std::any_of(recorded.begin(), recorded.end(), [&](const Json& statistic) {
      return statistic.value("name", "") == stem + "/coverage";
    });
    if (!own && name.ends_with(kSuffix)) name.resize(name.size() - kSuffix.size());
    FRUGAL_ASSIGN_OR_RETURN(const auto items, items_of(lines, evaluate::generation_item, stem));
    add(statistics_of(name, evaluate::summarize_generation(items, random(name))));
    FRUGAL_ASSIGN_OR_RETURN(const auto other, reference_lines(stem));
    if (!other) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto reference,
                            items_of(*other, evaluate::generation_item, "reference"));
    FRUGAL_ASSIGN_OR_RETURN(auto rows, compare(name, items, reference, comparison(name)));
    add_rows(std::move(rows));
    return absl::OkStatus();
  }

  absl::Status task(const std::string& name, const Lines& lines) {
    FRUGAL_ASSIGN_OR_RETURN(const auto scores, evaluate::task_scores(lines, name));
    add(statistics_of(name, scores, random(name)));
    FRUGAL_ASSIGN_OR_RETURN(const auto other, reference_lines(name));
    if (!other) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(const auto reference, evaluate::task_scores(*other, "reference"));
    FRUGAL_ASSIGN_OR_RETURN(auto rows, compare(name, scores, reference, comparison(name)));
    add_rows(std::move(rows));
    return absl::OkStatus();
  }

  // "perplexity" and "divergence" of one text; of several "perplexity-web", whose numbers begin
  // with "web/".
  static std::string prefix_of(const std::string& stem) {
    const size_t dash = stem.find('-');
    return dash == std::string::npos ? "" : stem.substr(dash + 1) + "/";
  }

  // What earlier versions did not keep cannot be computed from.
  bool has_documents(const std::string& stem, const Lines& lines) {
    if (lines.front().contains("document")) return true;
    out_.not_computed.push_back(str_cat(stem, ": its items do not say which document they are of"));
    return false;
  }

  absl::Status perplexity(const std::string& stem, const Lines& lines) {
    if (!has_documents(stem, lines)) return absl::OkStatus();
    evaluate::WindowSums sums;
    for (const Json& line : lines) {
      FRUGAL_ASSIGN_OR_RETURN(sums.nll.emplace_back(), json_get<double>(line, "nll", stem));
      FRUGAL_ASSIGN_OR_RETURN(sums.tokens.emplace_back(), json_get<int64_t>(line, "tokens", stem));
      FRUGAL_ASSIGN_OR_RETURN(sums.document.emplace_back(),
                              json_get<int64_t>(line, "document", stem));
    }
    add(statistics_of(evaluate::summarize_perplexity(std::move(sums), random("perplexity")),
                      prefix_of(stem)));
    return absl::OkStatus();
  }

  absl::Status divergence(const std::string& stem, const Lines& lines) {
    if (!has_documents(stem, lines)) return absl::OkStatus();
    FRUGAL_ASSIGN_OR_RETURN(auto items, items_of(lines, divergence_item, stem));
    evaluate::WindowSums model, reference;
    for (const evaluate::WindowDivergence& item : items) {
      const auto tokens = static_cast<double>(item.tokens);
      model.nll.push_back(item.nll * tokens);
      model.tokens.push_back(item.tokens);
      model.document.push_back(item.document);
      reference.nll.push_back(item.reference_nll * tokens);
    }
    reference.tokens = model.tokens;
    reference.document = model.document;
    evaluate::Divergence result =
        evaluate::summarize_divergence(std::move(items), random("perplexity"));
    result.windows = static_cast<int64_t>(lines.size());
    result.model = evaluate::summarize_perplexity(std::move(model), random("perplexity"));
    result.reference = evaluate::summarize_perplexity(std::move(reference), random("perplexity"));
    const std::string prefix = prefix_of(stem), metric = prefix + "perplexity";
    add(statistics_of(result, "", prefix));
    FRUGAL_ASSIGN_OR_RETURN(Json row, compare(metric, result, comparison(metric)));
    for (const Json& recorded : recorded_rows()) {
      if (recorded.value("metric", "") == metric) out_.comparisons.push_back(row);
    }
    return absl::OkStatus();
  }

  const uint64_t seed_;
  const std::vector<EvaluateClaim> claims_;
  const Json& step_;
  const fs::path& run_;
  const Json* reference_;
  pass::Recomputed out_;
};

}  // namespace

absl::StatusOr<pass::Recomputed> recompute_evaluation(const Json& run_start,
                                                      const std::vector<Json>& steps,
                                                      const Json& step,
                                                      const fs::path& run_folder) {
  return Evaluated(run_start, steps, step, run_folder).recompute();
}

}  // namespace frugal::passes
