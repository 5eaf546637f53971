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
    {"iq4_xs", "",
     "4.25 bits: the levels of iq4_nl, 6-bit scales for 32 weights in blocks of 256; rows must be "
     "a "
     "multiple of 256",
     make_iq4_xs},
    {"q4_k", "",
     "4.5 bits: 16 levels with offset, 6-bit scales in blocks of 256; rows must be a multiple of "
     "256",
     make_q4_k},
    {"q4_0", "", "4.5 bits: 16 equal levels, a scale for 32 weights; runs everywhere", make_q4_0},
    {"q4_1", "", "5 bits: 16 equal levels, scale and offset for 32 weights", make_q4_1},
    {"q5_k", "", "5.5 bits: q4_k with 32 levels; little is lost", make_q5_k},
    {"q5_0", "", "5.5 bits: 32 equal levels, a scale for 32 weights", make_q5_0},
    {"q5_1", "", "6 bits: 32 equal levels, scale and offset for 32 weights", make_q5_1},
    {"q6_k", "",
     "6.56 bits: 64 equal levels, 8-bit scales for 16 weights in blocks of 256; nearly lossless",
     make_q6_k},
    {"q8_0", "", "8.5 bits: 256 equal levels, a scale for 32 weights; nearly lossless", make_q8_0},
    {"q3_k", "",
     "3.44 bits: 8 equal levels, 6-bit scales for 16 weights in blocks of 256; a visible loss",
     make_q3_k},
    {"q2_k", "",
     "2.63 bits: 4 levels with offset, 4-bit scales for 16 weights in blocks of 256; a large loss",
     make_q2_k},
    {"nvfp4", "[:e<k>]",
     "4.5 bits: 16-level floating point (E2M1), 8-bit scales for 16 weights, all times a tensor "
     "scale 2^k (default 2^-7); what Blackwell GPUs multiply",
     make_nvfp4},
    {"mxfp4", "",
     "4.25 bits: 16-level floating point (E2M1), powers of two as scales for 32 weights; fast on "
     "GPUs, more is lost than with iq4_xs",
     make_mxfp4},
    {"q2_0", "", "2.25 bits: 4 equal levels, a scale for 64 weights; a large loss", make_q2_0},
    {"tq2_0", "",
     "2.06 bits: -1, 0, 1 times a scale for 256 weights; for models trained to be ternary",
     make_tq2_0},
    {"int4", "[:g<N>|:row][:asym]",
     "4-bit integers with a scale per group of N (default 32) or per row, optionally a "
     "zero point",
     make_int4},
    {"int8", "[:g<N>|:row][:asym]", "8-bit integers, options as for int4", make_int8},
    {"int3", "[:g<N>|:row][:asym]",
     "3-bit integers, options as for int4; no export format holds them", make_int3},
    {"int2", "[:g<N>|:row][:asym]", "2-bit integers, options as for int4; a large loss", make_int2},
    {"nf4", "[:g<N>|:row]",
     "QLoRA's 16 levels for normal weights, a scale per group of N (default 64) or per row; no "
     "export format holds them",
     make_nf4},
    {"fp8", "[:g<N>|:row]",
     "8-bit floating point (E4M3) with a scale per row (default) or group of N; no export format "
     "holds it",
     make_fp8},
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
