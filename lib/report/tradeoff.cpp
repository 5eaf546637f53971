// Quality against cost: joules for a response of what was served, else the size of what was made.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "base/text.h"
#include "report/access.h"
#include "report/claim.h"
#include "report/findings.h"
#include "report/metered.h"
#include "report/models.h"

namespace frugal::report {
namespace {

using base::Json;
using base::str_cat;

// The claimed metric where any row has it, else what is known of the usual ones.
std::string quality_metric(const Json& rows, std::string_view claimed) {
  for (const std::string_view metric :
       {claimed, std::string_view("sentiment/accuracy"), std::string_view("perplexity"),
        std::string_view("kld/mean")}) {
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const Json& row) {
      return !metric.empty() && find_number(row, metric) != nullptr;
    });
    if (known) return std::string(metric);
  }
  return "";
}

Json points_of(const Json& rows, std::string_view x_key, std::string_view y_key) {
  Json points = Json::array();
  for (const Json& row : rows) {
    const Json *x = find_number(row, x_key), *y = find_number(row, y_key);
    if (x == nullptr || y == nullptr) continue;
    points.push_back({{"model", text_at(row, "label", text_at(row, "name"))},
                      {"of", text_at(row, "model", text_at(row, "name"))},
                      {"role", row["role"]},
                      {"x", *x},
                      {"y", *y}});
  }
  return points;
}

// front: none is at least as good on both axes by the numbers themselves. beaten: some other is
// better on one axis and not worse on the other beyond what the intervals leave open. unsure: some
// other looks better, and the intervals do not tell them apart.
std::string place_of(const Json& point, const Json& points, int direction) {
  bool behind = false;
  for (const Json& other : points) {
    const auto difference = [&](const char* axis) {
      return number_at(other[axis], "value") - number_at(point[axis], "value");
    };
    const double dx = -difference("x"), dy = direction * difference("y");
    if (dx < 0 || dy < 0 || (dx == 0 && dy == 0)) continue;
    const bool sure_x = dx == 0 || told_apart(other["x"], point["x"], -1) > 0;
    const bool sure_y = dy == 0 || told_apart(other["y"], point["y"], direction) > 0;
    if (sure_x && sure_y) return "beaten";
    behind = true;
  }
  return behind ? "unsure" : "front";
}

// What is shown beyond chance: who is better than the one that costs least.
std::string front_finding(const Json& points, const std::string& metric, bool by_joules) {
  const Json& least = *std::min_element(points.begin(), points.end(), [](auto& a, auto& b) {
    return number_at(a["x"], "value") < number_at(b["x"], "value");
  });
  const std::string name = text_at(least, "model");
  if (points.size() == 1) return str_cat("Only ", name, " has both numbers");
  const int direction = better_direction(metric);
  std::vector<std::string> better;
  for (const Json& point : points) {
    if (told_apart(point["y"], least["y"], direction) > 0)
      better.push_back(text_at(point, "model"));
  }
  const auto alike = std::count_if(points.begin(), points.end(), [&](const Json& point) {
    return &point != &least && by_joules && told_apart(point["x"], least["x"], -1) == 0;
  });
  std::string finding = str_cat(name, by_joules ? " takes the fewest joules" : " is the smallest");
  if (alike > 0) {
    finding += str_cat(", not told apart from ", alike, alike == 1 ? " other" : " others");
  }
  if (better.empty())
    return str_cat(finding, alike > 0 ? "; none" : ", and none", " is shown to have better ",
                   metric, alike > 0 ? " than it" : "");
  const size_t count = better.size();
  if (count > 2) better.resize(2);
  return str_cat(finding, "; ", base::join(better, count == 2 ? " and " : ", "),
                 count > 2 ? str_cat(" and ", count - 2, count == 3 ? " other" : " others") : "",
                 count == 1 ? " has" : " have", " better ", metric);
}

}  // namespace

Json tradeoff_figure(const Json& models, const Json& served, std::string_view claimed_metric) {
  Json points = points_of(served, kResponseEnergy, quality_metric(served, claimed_metric));
  const bool by_joules = !points.empty();
  const std::string y_key = quality_metric(by_joules ? served : models, claimed_metric);
  const std::string x_key(by_joules ? kResponseEnergy : "weight_bytes");
  if (!by_joules) points = points_of(models, x_key, y_key);
  if (points.empty()) return nullptr;
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (Json& point : points) {
    point["place"] = place_of(point, points, better_direction(y_key));
    low = std::min(low, number_at(point["x"], "value"));
    high = std::max(high, number_at(point["x"], "value"));
  }
  return {{"finding", front_finding(points, y_key, by_joules)},
          {"description",
           str_cat(y_key,
                   by_joules ? " against the joules of a response, each artifact in its runtime"
                             : " against size",
                   "; bars are 95% intervals. The dashed line joins those that no other beats by "
                   "the numbers themselves. Pale: another costs less and is as good, beyond what "
                   "the intervals leave open; the rest is behind and not told apart.")},
          {"x", x_key},
          {"y", y_key},
          {"x_title", by_joules ? "joules per response" : "size"},
          {"y_title", y_key},
          {"x_unit", by_joules ? "" : "bytes"},
          {"y_unit", is_share(y_key) ? "fraction" : ""},
          {"x_log", low > 0 && high / low > 8},
          {"points", points}};
}

}  // namespace frugal::report
