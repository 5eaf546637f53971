#include "grid/registry.h"

namespace frugal::grid {
namespace {

struct GridEntry {
  const char* name;
  const char* options;  // what may follow the name
  const char* summary;
  MakeGrid make;
};

constexpr GridEntry kGrids[] = {
    {"iq4_nl", "",
     "4.5 bits: 16 unequal levels, a scale for 32 weights; the best of its size where the runtime "
     "has it",
     make_iq4_nl},
    {"q4_k", "",
     "4.5 bits: 16 levels with offset, 6-bit scales in blocks of 256; rows must be a multiple of "
     "256",
     make_q4_k},
    {"q4_0", "", "4.5 bits: 16 equal levels, a scale for 32 weights; runs everywhere", make_q4_0},
    {"q8_0", "", "8.5 bits: 256 equal levels, a scale for 32 weights; nearly lossless", make_q8_0},
    {"int4", "[:g<N>|:row][:asym]",
     "4-bit integers with a scale per group of N (default 32) or per row, optionally a "
     "zero point",
     make_int4},
    {"int8", "[:g<N>|:row][:asym]", "8-bit integers, options as for int4", make_int8},
};

}  // namespace

absl::Status check_no_suffix(std::string_view name, const GridRequest& request) {
  if (request.suffix.empty()) return absl::OkStatus();
  return base::invalid_argument("grid '", name, "' takes no options, found '", request.suffix,
                                "'; write '", name, "'");
}

absl::StatusOr<std::shared_ptr<const Grid>> find_grid(std::string_view name, int64_t row_columns) {
  const size_t colon = std::min(name.find(':'), name.size());
  const std::string_view family = name.substr(0, colon);
  std::vector<std::string> names;
  for (const GridEntry& entry : kGrids) {
    if (family == entry.name)
      return entry.make({.suffix = name.substr(colon), .row_columns = row_columns});
    names.emplace_back(entry.name);
  }
  return base::invalid_argument("unknown grid '", name, "'", base::suggestion(family, names));
}

std::vector<GridHelp> grid_help() {
  std::vector<GridHelp> help;
  for (const GridEntry& entry : kGrids) {
    help.push_back({.name = base::str_cat(entry.name, entry.options), .summary = entry.summary});
  }
  return help;
}

}  // namespace frugal::grid
