#include "layerwise/walk/matrix_record.h"

#include <type_traits>

namespace frugal::layerwise {
namespace {

// Every field in the order of the columns. `always`: written even where it is not known.
template <typename Record, typename Visit>
void for_each_field(Record& r, const Visit& visit) {
  const bool of_matrix = r.matrix.has_value();
  visit("layer", r.layer, true);
  visit("expert", r.expert, false);
  visit("matrix", r.matrix, false);
  visit("group", r.group, false);
  visit("merged_into", r.merged_into, false);
  visit("grid", r.grid, of_matrix);
  visit("pattern", r.pattern, false);
  visit("structures", r.structures, false);
  visit("count", r.count, false);
  visit("kept", r.kept, false);
  visit("ratio", r.ratio, false);
  visit("form", r.form, false);
  visit("error_before", r.error_before, of_matrix);
  visit("error_after", r.error_after, of_matrix);
  visit("error_original", r.error_original, false);
  visit("weight_error", r.weight_error, false);
  visit("correction", r.correction, false);
  visit("squared_error_before", r.squared_error_before, false);
  visit("squared_error", r.squared_error, false);
  visit("clip_error_before", r.clip_error_before, false);
  visit("clip_error", r.clip_error, false);
  visit("outlier_ratio_before", r.outlier_ratio_before, false);
  visit("outlier_ratio", r.outlier_ratio, false);
  visit("layer_output_error_before", r.layer_output_error_before, false);
  visit("layer_output_error_after", r.layer_output_error_after, false);
  visit("share", r.share, false);
  visit("zeros", r.zeros, false);
  visit("zeros_given", r.zeros_given, false);
  visit("zeros_filled", r.zeros_filled, false);
  visit("alpha", r.alpha, false);
  visit("beta", r.beta, false);
  visit("damping", r.damping, of_matrix);
  visit("output_damping", r.output_damping, false);
  visit("recoveries", r.recoveries, of_matrix);
  visit("dead_columns", r.dead_columns, of_matrix);
  visit("fell_back", r.fell_back, false);
  visit("sweep_kernel", r.sweep_kernel, false);
  visit("sweep_fallback", r.sweep_fallback, false);
  visit("steps", r.steps, false);
  visit("rows_unfinished", r.rows_unfinished, false);
  visit("weights", r.weights, false);
  visit("blend", r.blend, false);
  visit("tokens", r.tokens, true);
  visit("seconds", r.seconds, true);
}

template <typename T>
base::Json value_json(const T& value) {
  if constexpr (std::is_same_v<T, double>) {
    return base::finite_or_null(value);
  } else {
    return value;
  }
}
template <typename T>
base::Json value_json(const std::optional<T>& value) {
  return value ? value_json(*value) : base::Json();
}

template <typename T>
absl::Status parse_value(const base::Json& json, const char* name, std::string_view where,
                         T& value) {
  FRUGAL_ASSIGN_OR_RETURN(value, base::json_get<T>(json, name, where));
  return absl::OkStatus();
}
template <typename T>
absl::Status parse_value(const base::Json& json, const char* name, std::string_view where,
                         std::optional<T>& value) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null()) return absl::OkStatus();
  return parse_value(json, name, where, value.emplace());
}

}  // namespace

void MatrixRecord::set_stage(const architecture::StageRef& at) {
  layer = at.layer;
  if (at.expert >= 0) expert = at.expert;
}

void MatrixRecord::set_statistics(const InputStatistics& statistics) {
  tokens = statistics.tokens;
  if (statistics.blend > 0) blend = statistics.blend;
}

base::Json to_json(const MatrixRecord& record) {
  base::Json row = base::Json::object();
  for_each_field(record, [&](const char* name, const auto& value, bool always) {
    base::Json json = value_json(value);
    if (always || !json.is_null()) row[name] = std::move(json);
  });
  return row;
}

absl::StatusOr<MatrixRecord> parse_matrix_record(const base::Json& json, std::string_view where) {
  MatrixRecord record;
  absl::Status status;
  for_each_field(record, [&](const char* name, auto& value, bool /*always*/) {
    if (status.ok()) status = parse_value(json, name, where, value);
  });
  if (!status.ok()) return status;
  return record;
}

}  // namespace frugal::layerwise
