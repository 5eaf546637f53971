// The builds of the finish, and what they share.
#pragma once

#include <vector>

#include "grid/instruction_sets.h"
#include "grid/scale_search.h"
#include "kernels/refine.h"

namespace frugal::kernels {

// Row by row in plain C++: the definition that every other build must equal bit for bit.
RefineReport refine_reference(const RefineProblem& problem, const RefineOptions& options);
#if FRUGAL_X86_TARGETS
// Sixteen rows at a time; what 64 columns of a code sweep change is applied to the gradient
// together.
RefineReport refine_avx2(const RefineProblem& problem, const RefineOptions& options);
RefineReport refine_avx512(const RefineProblem& problem, const RefineOptions& options);
#endif

// What does not depend on the rows.
struct RefinePlan {
  grid::LevelTable table;
  int64_t groups = 0;  // in a row
  std::vector<float>
      row_sums;  // [columns] sum of the Hessian's row over the column's own group (affine grids)
  bool block_step = false;  // the grid has super-scales or zero points
};
RefinePlan plan_refine(const RefineProblem& problem);

// Of one row and group, with t the levels of its codes: sums that the 2x2 system in (scale, offset)
// needs.
struct GroupSums {
  float t_gradient = 0;  // t^T G
  float gradient = 0;    // 1^T G
  float tt = 0;          // t^T H t
  float t1 = 0;          // t^T H 1
  float ones = 0;        // 1^T H 1
};
// Moves the stored pair of `group` to its optimum where that lowers the objective. `parameters`: of
// the row's block; `scale`, `offset` [groups_per_block]: expanded, updated with it. False: nothing
// changed.
bool refit_group(const grid::Grid& grid, int64_t group, const GroupSums& sums,
                 std::byte* parameters, float* scale, float* offset);

// Of one row and block, with A the scale part and C the offset part of the decoded weights.
struct BlockSums {
  float a_gradient = 0;
  float c_gradient = 0;
  float aa = 0;
  float ac = 0;
  float cc = 0;
};
bool refit_block(const grid::Grid& grid, const BlockSums& sums, std::byte* parameters, float* scale,
                 float* offset);

// Sums over rows in row order, whatever thread worked on them.
struct RefineTotals {
  std::vector<double> before;  // [rows]
  std::vector<double> after;
  std::vector<int64_t> codes_changed;
  std::vector<int64_t> groups_refit;
  explicit RefineTotals(int64_t rows);
  RefineReport report() const;
};

constexpr int kRefineRows = 16;

// Sixteen rows in work; every float array is [..][16].
struct RefineTile {
  std::vector<float> target;           // [columns]
  std::vector<float> weights;          // [columns] decoded
  std::vector<float> gradient;         // [columns] (weights - target) (H + lambda I)
  std::vector<float> codes;            // [columns] whole numbers
  std::vector<float> kept;             // [columns] 1 or 0 (pinned); empty without a mask
  std::vector<float> scale;            // [groups]
  std::vector<float> inverse;          // [groups]
  std::vector<float> offset;           // [groups]
  std::vector<float> change;           // [max(block_columns, 64)]
  std::vector<float> levels;           // [block_columns]
  std::vector<float> offsets;          // [block_columns]
  std::vector<float> product;          // [block_columns]
  std::vector<float> product_offsets;  // [block_columns]
  std::vector<std::byte> parameters;   // [16][row's parameters]
  int64_t codes_changed[kRefineRows] = {};
  int64_t groups_refit[kRefineRows] = {};
  RefineTile(const RefineProblem& problem, const RefinePlan& plan);
};

int64_t parameter_row_bytes(const RefineProblem& problem);
void load_tile(const RefineProblem& problem, const RefinePlan& plan, int64_t first_row,
               RefineTile& tile);
// The levels of the codes of columns [start, start + count), 0 where pinned, into tile.levels.
void load_levels(const RefineProblem& problem, int64_t start, int64_t count, RefineTile& tile);
// The row's objective (weights - target) . gradient, for each lane.
void objectives(const RefineProblem& problem, const RefineTile& tile, double* values);
// Writes back the rows that improved and notes what was done.
void store_tile(const RefineProblem& problem, int64_t first_row, const double* before,
                const double* after, const RefineTile& tile, RefineTotals& totals);
// refit_group and refit_block for every lane; true where any lane changed.
bool refit_group_lanes(const RefineProblem& problem, int64_t block, int64_t group,
                       const GroupSums* sums, int64_t rows, RefineTile& tile);
bool refit_block_lanes(const RefineProblem& problem, int64_t block, const BlockSums* sums,
                       int64_t rows, RefineTile& tile);

using RefineTileFunction = void (*)(const RefineProblem& problem, const RefinePlan& plan,
                                    const RefineOptions& options, int64_t rows, RefineTile& tile,
                                    double* before);
RefineReport refine_tiles(const RefineProblem& problem, const RefineOptions& options,
                          RefineTileFunction refine_tile);

}  // namespace frugal::kernels
