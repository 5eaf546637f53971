// What every grid must satisfy; the test of each grid calls these.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "grid/grid.h"
#include "support/shared_data.h"

namespace frugal::grid {

std::shared_ptr<const Grid> grid_or_die(std::string_view name, int64_t row_columns = 0);

std::vector<float> normal_weights(base::RandomStream& random, int64_t count, double sigma = 0.05);
std::vector<float> heavy_weights(base::RandomStream& random, int64_t count);  // a few outliers
std::vector<float> uneven_importance(base::RandomStream& random, int64_t count);

// sum w (x - decode(nearest codes))^2 in double, w as fit documents it.
double weighted_error(const Grid& grid, const std::vector<float>& x,
                      const std::vector<float>& importance, const std::byte* parameters);

// Blocks decoded by the `gguf` package: our bytes -> weights must have the same bits (NaN equals
// NaN).
void expect_golden_decode(const Grid& grid, const std::string& file);
// Blocks encoded by the `gguf` package with the plain rule.
void expect_golden_encode(const Grid& grid, const std::string& file);

void expect_pack_inverts_unpack(const Grid& grid);
// Where groups share a super-scale, `smallest_top_code` is the least integer that the largest
// sub-scale may be stored as.
void expect_snap_inverts_expand(const Grid& grid, int smallest_top_code);
void expect_set_group_keeps_stored_values(const Grid& grid);
void expect_encode_is_nearest(const Grid& grid);
void expect_search_never_worse_than_plain(const Grid& grid);
void expect_fast_search_never_worse_than_plain(const Grid& grid);
void expect_zero_blocks_decode_to_zero(const Grid& grid);
void expect_extreme_magnitudes_stay_finite(const Grid& grid);
void expect_all_properties(const Grid& grid, int smallest_top_code = 1);

}  // namespace frugal::grid
