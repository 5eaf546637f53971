#include "format/quantized_entries.h"

#include <utility>

#include "base/text.h"

namespace frugal::format {
namespace {

using base::Json;

absl::StatusOr<Activations> parse_activations(const Json& json, int64_t version,
                                              std::string_view where) {
  if (!json.contains("activations")) return Activations::kFloat;
  if (version < 2) {
    return base::invalid_argument(where, ": 'activations' belong to version 2, the file is of ",
                                  version);
  }
  FRUGAL_ASSIGN_OR_RETURN(const auto text, base::json_get<std::string>(json, "activations", where));
  absl::StatusOr<Activations> found = find_activations(text);
  if (!found.ok()) return base::annotate(found.status(), where);
  return found;
}

absl::StatusOr<QuantizedEntry> parse_quantized_entry(const Json& json, int64_t version,
                                                     std::string_view where) {
  QuantizedEntry entry;
  FRUGAL_ASSIGN_OR_RETURN(entry.grid, base::json_get<std::string>(json, "grid", where));
  FRUGAL_ASSIGN_OR_RETURN(const Json shape, base::json_get<Json>(json, "shape", where));
  const bool is_pair = shape.is_array() && shape.size() == 2 && shape[0].is_number_unsigned() &&
                       shape[1].is_number_unsigned();
  // Bounds that no matrix reaches keep every product below in range.
  constexpr uint64_t kMaxSide = uint64_t{1} << 30;
  if (!is_pair || shape[0].get<uint64_t>() > kMaxSide || shape[1].get<uint64_t>() > kMaxSide ||
      shape[0].get<uint64_t>() == 0 || shape[1].get<uint64_t>() == 0) {
    return base::invalid_argument(where, ": 'shape' must be two positive integers [rows, columns]");
  }
  entry.rows = shape[0].get<int64_t>();
  entry.columns = shape[1].get<int64_t>();
  FRUGAL_ASSIGN_OR_RETURN(entry.activations, parse_activations(json, version, where));
  return entry;
}

}  // namespace

absl::StatusOr<QuantizedEntries> parse_quantized_entries(const base::Json& config,
                                                         std::string_view where) {
  QuantizedEntries entries;
  const auto frugal = config.find("frugal");
  if (frugal == config.end() || frugal->is_null()) return entries;
  const std::string place = base::str_cat(where, ": 'frugal'");
  FRUGAL_ASSIGN_OR_RETURN(const int64_t version,
                          base::json_get<int64_t>(*frugal, "version", place));
  if (version < 1 || version > 2) {
    return base::unimplemented(place, ": version ", version,
                               " is newer than this frugal, which reads 1 and 2");
  }
  FRUGAL_ASSIGN_OR_RETURN(const Json list,
                          base::json_get_or<Json>(*frugal, "quantized", Json::object(), place));
  if (!list.is_object()) return base::invalid_argument(place, ": 'quantized' is no object");
  for (const auto& [name, value] : list.items()) {
    FRUGAL_ASSIGN_OR_RETURN(
        QuantizedEntry entry,
        parse_quantized_entry(value, version, base::str_cat(place, ": tensor '", name, "'")));
    entries.emplace(name, std::move(entry));
  }
  return entries;
}

}  // namespace frugal::format
