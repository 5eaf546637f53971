// frugal inspect A B: how two models differ.
#include <cmath>
#include <cstdio>
#include <set>

#include "absl/strings/str_format.h"
#include "artifact/compare.h"
#include "artifact/importer.h"
#include "base/progress.h"
#include "commands.h"
#include "pass/table.h"
#include "session.h"

namespace frugal::tool {
namespace {

using base::Json;
using base::str_cat;

// Facts of both that a reader compares first.
constexpr const char* kFacts[] = {"kind", "architecture", "parameters", "weight_bytes",
                                  "bits_per_weight"};

std::string number_text(const Json& value) {
  if (value.is_null()) return "unknown";
  if (value.is_number_integer()) return base::format_count(value.get<int64_t>());
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Json facts_of(const Json& inspection) {
  Json facts = {{"path", inspection.value("path", Json())}};
  for (const char* key : kFacts) facts[key] = inspection.value(key, Json());
  facts["types"] = inspection.value("types", Json::object());
  return facts;
}

void print_facts(const Json& a, const Json& b) {
  pass::Table facts({"", a["path"].get<std::string>(), b["path"].get<std::string>()});
  for (const char* key : kFacts) facts.row({key, number_text(a[key]), number_text(b[key])});
  std::set<std::string> types;
  for (const Json* side : {&a, &b}) {
    for (const auto& [type, sums] : side->at("types").items()) types.insert(type);
  }
  const auto bytes_of = [](const Json& side, const std::string& type) {
    const Json& all = side["types"];
    if (!all.contains(type)) return std::string("none");
    return str_cat(all[type]["tensors"].get<int64_t>(), " tensors, ",
                   base::format_bytes(all[type]["bytes"].get<double>()));
  };
  for (const std::string& type : types)
    facts.row({str_cat("in ", type), bytes_of(a, type), bytes_of(b, type)});
  std::fputs(facts.text().c_str(), stdout);
}

absl::StatusOr<artifact::Comparison> compare_models(const std::string& a, const std::string& b) {
  const RunArguments arguments;
  FRUGAL_ASSIGN_OR_RETURN(const auto folder_a, model_folder(a, arguments));
  FRUGAL_ASSIGN_OR_RETURN(const auto folder_b, model_folder(b, arguments));
  FRUGAL_ASSIGN_OR_RETURN(const auto model_a, format::Checkpoint::open(folder_a));
  FRUGAL_ASSIGN_OR_RETURN(const auto model_b, format::Checkpoint::open(folder_b));
  base::Progress progress("compare", "tensors",
                          static_cast<int64_t>(model_a.tensor_names().size()));
  return artifact::compare(model_a, model_b, [&] { progress.advance(); });
}

Json comparison_json(const artifact::Comparison& comparison) {
  Json tensors = Json::array();
  for (const artifact::TensorDifference& tensor : comparison.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"types", {tensor.type_a, tensor.type_b}},
                       {"shapes", {tensor.shape_a, tensor.shape_b}},
                       {"bytes", {tensor.bytes_a, tensor.bytes_b}},
                       {"relative_difference", base::finite_or_null(tensor.relative)}});
  }
  return {{"equal", comparison.equal()},
          {"only_first", comparison.only_a},
          {"only_second", comparison.only_b},
          {"tensors", std::move(tensors)}};
}

std::string difference_text(const artifact::TensorDifference& tensor) {
  if (std::isnan(tensor.relative)) return "other shape";
  return absl::StrFormat("%.3g%%", 100 * tensor.relative);
}

void print_comparison(const artifact::Comparison& comparison) {
  std::printf("\n%lld of %zu tensors hold the same numbers\n",
              static_cast<long long>(comparison.equal()), comparison.tensors.size());
  const auto list = [](const char* what, const std::vector<std::string>& names) {
    if (!names.empty()) std::printf("%s: %s\n", what, base::join(names, ", ").c_str());
  };
  list("only in the first", comparison.only_a);
  list("only in the second", comparison.only_b);
  if (comparison.equal() == static_cast<int64_t>(comparison.tensors.size())) return;
  pass::Table tensors({"tensor", "first", "second", "difference"});
  tensors.align_right({3});
  for (const artifact::TensorDifference& tensor : comparison.tensors) {
    if (tensor.relative == 0) continue;
    tensors.row({tensor.name, str_cat(tensor.type_a, " ", Json(tensor.shape_a).dump()),
                 str_cat(tensor.type_b, " ", Json(tensor.shape_b).dump()),
                 difference_text(tensor)});
  }
  std::printf("difference: of the numbers, relative to the first's, root mean square\n\n%s",
              tensors.text().c_str());
}

}  // namespace

int compare_paths(const std::string& a, const std::string& b, bool json) {
  const auto first = artifact::inspect(a);
  const auto second = first.ok() ? artifact::inspect(b) : first;
  if (!second.ok()) {
    return fail(base::as_std(second.status().message()),
                absl::IsNotFound(second.status()) ? pass::kExitUsage : pass::kExitFailed);
  }
  const Json facts_a = facts_of(*first), facts_b = facts_of(*second);
  if (!json) print_facts(facts_a, facts_b);
  const auto comparison = compare_models(a, b);
  if (absl::IsCancelled(comparison.status()))
    return fail(base::as_std(comparison.status().message()), exit_code(comparison.status()));
  const std::string why =
      comparison.ok() ? "" : std::string(base::as_std(comparison.status().message()));
  if (json) {
    Json result = {{"first", facts_a}, {"second", facts_b}};
    if (comparison.ok())
      result["numbers"] = comparison_json(*comparison);
    else
      result["numbers_not_compared"] = why;
    std::printf("%s\n", result.dump(1).c_str());
  } else if (comparison.ok()) {
    print_comparison(*comparison);
  } else {
    std::printf("\nthe numbers are not compared: %s\n", why.c_str());
  }
  return pass::kExitDone;
}

}  // namespace frugal::tool
