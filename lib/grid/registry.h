// Every grid by name. A new grid is one source file with a `make_…` function and one line in the
// table of registry.cpp.
#pragma once

#include <memory>
#include <string_view>

#include "grid/grid.h"

namespace frugal::grid {

// What follows the family name: `suffix` is "" or ":g64:asym"; `row_columns` as in find_grid.
struct GridRequest {
  std::string_view suffix;
  int64_t row_columns = 0;
};
using MakeGrid = absl::StatusOr<std::shared_ptr<const Grid>> (*)(const GridRequest& request);

// For grids without options: refuses any suffix.
absl::Status check_no_suffix(std::string_view name, const GridRequest& request);

absl::StatusOr<std::shared_ptr<const Grid>> make_q8_0(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q6_k(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q5_k(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q5_1(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q5_0(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q4_k(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q4_1(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q4_0(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_iq4_nl(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_iq4_xs(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_mxfp4(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_nvfp4(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q2_0(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_tq2_0(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q3_k(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_q2_k(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_int8(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_int4(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_int3(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_int2(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_nf4(const GridRequest& request);
absl::StatusOr<std::shared_ptr<const Grid>> make_fp8(const GridRequest& request);

}  // namespace frugal::grid
