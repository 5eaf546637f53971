// Tested by: tests/report/compare_runs_test.cpp
#include "report/best_use.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "report/access.h"
#include "report/claim.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

const Json* column_of(const Json& comparison, const std::string& key) {
  for (const Json& column : comparison["columns"]) {
    if (text_at(column, "key") == key) return &column;
  }
  return nullptr;
}

// The number of a row in a column; absent where it is unknown.
std::optional<double> value_of(const Json& row, const std::string& key) {
  const Json value = any_at(object_at(object_at(row, "cells"), key), "value");
  return value.is_number() ? std::optional<double>(value.get<double>()) : std::nullopt;
}

// Whether the interval of `row` reaches that of `best`: then chance does not tell them apart.
bool reaches(const Json& row, const Json& best, const std::string& key) {
  const Json a = object_at(object_at(row, "cells"), key);
  const Json b = object_at(object_at(best, "cells"), key);
  const double value_a = number_at(a, "value"), value_b = number_at(b, "value");
  return number_at(a, "low", value_a) <= number_at(b, "high", value_b) &&
         number_at(b, "low", value_b) <= number_at(a, "high", value_a);
}

struct Choice {
  std::vector<size_t> rows;  // the best, and those that chance does not tell from it
  std::string why_none;
};

// The best of `among` in a column.
Choice choose(const Json& comparison, const std::string& key, const std::vector<size_t>& among) {
  const Json* column = column_of(comparison, key);
  if (column == nullptr) return {{}, "nobody has that number"};
  if (!flag_at(*column, "comparable", false))
    return {{}, str_cat("not comparable: ", text_at(*column, "note"))};
  const double sign = text_at(*column, "better") == "higher" ? 1 : -1;
  const Json& rows = comparison["rows"];
  const std::string aside = text_at(*column, "not_ranked");
  std::vector<size_t> ranked;
  for (const size_t row : among) {
    if (aside.empty() || text_at(rows[row], "engine") != aside) ranked.push_back(row);
  }
  std::optional<size_t> best;
  for (const size_t row : ranked) {
    const auto value = value_of(rows[row], key);
    if (value && (!best || sign * *value > sign * *value_of(rows[*best], key))) best = row;
  }
  if (!best) return {{}, "unknown for all of them"};
  Choice choice{{*best}, ""};
  for (const size_t row : ranked) {
    if (row != *best && value_of(rows[row], key) && reaches(rows[row], rows[*best], key))
      choice.rows.push_back(row);
  }
  return choice;
}

std::string name_of(const Json& row) {
  const std::string engine = text_at(row, "engine");
  return str_cat(text_at(row, "model"), engine.empty() ? "" : " in ", engine, " (",
                 text_at(row, "run"), ")");
}

// One rule, said on the rows that it names and in `rules`.
void apply(Json& comparison, const std::string& rule, const std::string& use,
           const Choice& choice) {
  std::string answer = choice.why_none;
  for (size_t i = 0; i < choice.rows.size(); ++i) {
    Json& row = comparison["rows"][choice.rows[i]];
    const std::string said = i == 0 ? use : use + ", within chance";
    const std::string before = text_at(row, "best_use");
    row["best_use"] = before.empty() ? said : str_cat(before, "; ", said);
    answer += i == 0   ? name_of(row)
              : i == 1 ? str_cat("; not told apart by chance: ", name_of(row))
                       : str_cat(", ", name_of(row));
  }
  comparison["rules"].push_back({{"rule", rule}, {"answer", answer}});
}

// The claimed metric where all runs claim one, else the first quality in the table.
std::string quality_key(const Json& comparison) {
  std::set<std::string> claimed;
  for (const Json& run : comparison["runs"]) {
    const std::string claim = text_at(run, "claim");
    claimed.insert(claim.substr(0, claim.find(" within ")));
  }
  if (claimed.size() == 1 && !claimed.begin()->empty()) return *claimed.begin();
  for (const Json& column : comparison["columns"]) {
    const std::string key = text_at(column, "key");
    if (is_share(key) || key == "perplexity") return key;
  }
  return "";
}

// Rows that nobody beats in quality with as few bytes.
Choice front(const Json& comparison, const std::string& quality) {
  const Json* column = column_of(comparison, quality);
  if (column == nullptr) return {{}, "no quality was measured"};
  if (!flag_at(*column, "comparable", false))
    return {{}, str_cat("not comparable: ", text_at(*column, "note"))};
  const double sign = text_at(*column, "better") == "higher" ? 1 : -1;
  const Json& rows = comparison["rows"];
  Choice choice;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto bytes = value_of(rows[i], "weight_bytes"), value = value_of(rows[i], quality);
    bool beaten = !bytes || !value;
    for (size_t j = 0; j < rows.size() && !beaten; ++j) {
      const auto other_bytes = value_of(rows[j], "weight_bytes"),
                 other = value_of(rows[j], quality);
      if (!other_bytes || !other) continue;
      const bool no_worse = *other_bytes <= *bytes && sign * *other >= sign * *value;
      beaten = no_worse && (*other_bytes < *bytes || sign * *other > sign * *value);
    }
    if (!beaten) choice.rows.push_back(i);
  }
  if (choice.rows.empty()) choice.why_none = "bytes or quality unknown";
  return choice;
}

}  // namespace

void choose_best(Json& comparison) {
  comparison["rules"] = Json::array();
  std::vector<size_t> all, held;
  for (size_t i = 0; i < comparison["rows"].size(); ++i) {
    Json& row = comparison["rows"][i];
    row["best"] = Json::array();
    row["best_use"] = "";
    all.push_back(i);
    if (text_at(row, "claim") == "claimed") held.push_back(i);
  }
  for (const Json& column : comparison["columns"]) {
    const std::string key = text_at(column, "key");
    const std::vector<size_t> best = choose(comparison, key, all).rows;
    const auto known = std::count_if(all.begin(), all.end(), [&](size_t row) {
      return value_of(comparison["rows"][row], key).has_value();
    });
    if (static_cast<int64_t>(best.size()) == known) continue;  // nobody is better than another
    for (const size_t row : best) comparison["rows"][row]["best"].push_back(key);
  }
  const Choice no_claim{{}, "no model was shown to keep its run's claim"};
  apply(comparison, "lowest joules of those whose claim holds", "lowest joules with its claim held",
        held.empty() ? no_claim : choose(comparison, "joules_per_million_tokens", held));
  apply(comparison, "fewest bytes of those whose claim holds", "smallest with its claim held",
        held.empty() ? no_claim : choose(comparison, "weight_bytes", held));
  const std::string quality = quality_key(comparison);
  if (!quality.empty()) {
    apply(comparison, str_cat("best ", quality), str_cat("best ", quality),
          choose(comparison, quality, all));
    const Choice best = front(comparison, quality);
    std::string answer = best.why_none;
    for (const size_t i : best.rows) {
      Json& row = comparison["rows"][i];
      if (text_at(row, "best_use").empty()) row["best_use"] = "best quality for its bytes";
      answer += (answer.empty() ? "" : ", ") + name_of(row);
    }
    comparison["rules"].push_back(
        {{"rule", str_cat("not beaten in ", quality, " with as few bytes")}, {"answer", answer}});
  }
  int64_t apart = 0;
  for (const Json& column : comparison["columns"])
    apart += flag_at(column, "comparable", false) ? 0 : 1;
  const auto count = static_cast<int64_t>(comparison["columns"].size());
  comparison["finding"] =
      apart == 0 ? str_cat("All ", count, " columns may be compared across these runs")
                 : str_cat(apart, " of ", count,
                           " columns may not be compared: what they hold was obtained in "
                           "different ways");
  comparison["description"] =
      "Numbers of the runs themselves. In a column that was obtained alike the best are marked, "
      "with those whose intervals reach them; in one that was not, nothing is ranked, and below "
      "the table stands what differs. Runs were measured at different times, and how a machine "
      "drifts between them is in no interval: a small difference of cost needs one run that "
      "measures both. A dash is unknown, never zero.";
}

}  // namespace frugal::report
