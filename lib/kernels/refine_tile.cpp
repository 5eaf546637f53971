// What the tiled finishes share and what need not be fast: loading, proposals lane by lane,
// storing.
#include <algorithm>
#include <cstring>

#include "kernels/refine_kernels.h"

namespace frugal::kernels {
namespace {

constexpr int64_t kSweepWindow = 64;

std::byte* lane_parameters(const RefineProblem& problem, int64_t lane, int64_t block,
                           RefineTile& tile) {
  return tile.parameters.data() + lane * parameter_row_bytes(problem) +
         block * problem.grid->spec().parameter_bytes;
}

// Expanded parameters of one lane's block, gathered from and scattered to the tile.
struct LaneBlock {
  float scale[grid::kMaxGroupsPerBlock];
  float offset[grid::kMaxGroupsPerBlock];
};

LaneBlock gather(const RefineTile& tile, int64_t first_group, int64_t groups, int64_t lane) {
  LaneBlock values;
  for (int64_t g = 0; g < groups; ++g) {
    values.scale[g] = tile.scale[(first_group + g) * kRefineRows + lane];
    values.offset[g] = tile.offset[(first_group + g) * kRefineRows + lane];
  }
  return values;
}

void scatter(const LaneBlock& values, int64_t first_group, int64_t groups, int64_t lane,
             RefineTile& tile) {
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t at = (first_group + g) * kRefineRows + lane;
    tile.scale[at] = values.scale[g];
    tile.inverse[at] = grid::inverse_scale(values.scale[g]);
    tile.offset[at] = values.offset[g];
  }
}

// Where the zero point has moved, the codes of pinned weights go along.
void pin_codes(const RefineProblem& problem, int64_t start, int64_t count, int64_t lane,
               RefineTile& tile) {
  for (int64_t i = start; !tile.kept.empty() && i < start + count; ++i) {
    const int64_t at = i * kRefineRows + lane;
    const int64_t group = i / problem.grid->spec().group_columns * kRefineRows + lane;
    if (tile.kept[at] == 0)
      tile.codes[at] =
          problem.grid->nearest_code((0.0f - tile.offset[group]) * tile.inverse[group]);
  }
}

void load_lane(const RefineProblem& problem, const RefinePlan& plan, int64_t row, int64_t lane,
               RefineTile& tile) {
  const grid::GridSpec& spec = problem.grid->spec();
  std::memcpy(lane_parameters(problem, lane, 0, tile),
              problem.parameters + row * problem.parameters_stride,
              static_cast<size_t>(parameter_row_bytes(problem)));
  for (int64_t group = 0; group < plan.groups; group += spec.groups_per_block()) {
    LaneBlock values;
    problem.grid->expand(lane_parameters(problem, lane, group / spec.groups_per_block(), tile),
                         values.scale, values.offset);
    scatter(values, group, spec.groups_per_block(), lane, tile);
  }
  for (int64_t i = 0; i < problem.columns; ++i) {
    const uint8_t code = problem.codes[row * problem.codes_stride + i];
    const int64_t group = i / spec.group_columns * kRefineRows + lane;
    const int64_t at = i * kRefineRows + lane;
    tile.target[at] = problem.target[row * problem.target_stride + i];
    tile.codes[at] = code;
    tile.weights[at] = tile.scale[group] * spec.levels[code] + tile.offset[group];
  }
  if (problem.mask == nullptr) return;
  const uint8_t* const mask = problem.mask + row * problem.mask_stride;
  for (int64_t i = 0; i < problem.columns; ++i)
    tile.kept[i * kRefineRows + lane] = mask[i] != 0 ? 1.0f : 0.0f;
}

}  // namespace

RefineTile::RefineTile(const RefineProblem& problem, const RefinePlan& plan)
    : target(problem.columns * kRefineRows),
      weights(problem.columns * kRefineRows),
      gradient(problem.columns * kRefineRows),
      codes(problem.columns * kRefineRows),
      kept(problem.mask == nullptr ? 0 : problem.columns * kRefineRows),
      scale(plan.groups * kRefineRows),
      inverse(plan.groups * kRefineRows),
      offset(plan.groups * kRefineRows),
      change(std::max(problem.grid->spec().block_columns, kSweepWindow) * kRefineRows),
      levels(problem.grid->spec().block_columns * kRefineRows),
      offsets(problem.grid->spec().block_columns * kRefineRows),
      product(problem.grid->spec().block_columns * kRefineRows),
      product_offsets(problem.grid->spec().block_columns * kRefineRows),
      parameters(kRefineRows * parameter_row_bytes(problem)) {}

int64_t parameter_row_bytes(const RefineProblem& problem) {
  const grid::GridSpec& spec = problem.grid->spec();
  return problem.columns / spec.block_columns * spec.parameter_bytes;
}

void load_tile(const RefineProblem& problem, const RefinePlan& plan, int64_t first_row,
               RefineTile& tile) {
  const int64_t rows = std::min<int64_t>(kRefineRows, problem.rows - first_row);
  if (rows < kRefineRows) {  // idle lanes: zeros stay zeros
    for (auto* values :
         {&tile.target, &tile.weights, &tile.codes, &tile.scale, &tile.inverse, &tile.offset}) {
      std::fill(values->begin(), values->end(), 0.0f);
    }
  }
  std::fill(tile.gradient.begin(), tile.gradient.end(), 0.0f);
  std::fill_n(tile.codes_changed, kRefineRows, 0);
  std::fill_n(tile.groups_refit, kRefineRows, 0);
  for (int64_t lane = 0; lane < rows; ++lane)
    load_lane(problem, plan, first_row + lane, lane, tile);
}

void load_levels(const RefineProblem& problem, int64_t start, int64_t count, RefineTile& tile) {
  const float* const levels = problem.grid->spec().levels.data();
  const float* const codes = tile.codes.data() + start * kRefineRows;
  for (int64_t i = 0; i < count * kRefineRows; ++i)
    tile.levels[i] = levels[static_cast<int32_t>(codes[i])];
  for (int64_t i = 0; !tile.kept.empty() && i < count * kRefineRows; ++i) {
    if (tile.kept[start * kRefineRows + i] == 0) tile.levels[i] = 0;
  }
}

void objectives(const RefineProblem& problem, const RefineTile& tile, double* values) {
  std::fill_n(values, kRefineRows, 0.0);
  for (int64_t i = 0; i < problem.columns; ++i) {
    for (int64_t lane = 0; lane < kRefineRows; ++lane) {
      const int64_t at = i * kRefineRows + lane;
      values[lane] += (static_cast<double>(tile.weights[at]) - tile.target[at]) * tile.gradient[at];
    }
  }
}

void store_tile(const RefineProblem& problem, int64_t first_row, const double* before,
                const double* after, const RefineTile& tile, RefineTotals& totals) {
  const int64_t rows = std::min<int64_t>(kRefineRows, problem.rows - first_row);
  const int64_t bytes = parameter_row_bytes(problem);
  for (int64_t lane = 0; lane < rows; ++lane) {
    const int64_t row = first_row + lane;
    const bool better = after[lane] < before[lane];
    totals.before[row] = before[lane];
    totals.after[row] = better ? after[lane] : before[lane];
    if (problem.row_objective != nullptr) problem.row_objective[row] = totals.after[row];
    if (!better) continue;
    totals.codes_changed[row] = tile.codes_changed[lane];
    totals.groups_refit[row] = tile.groups_refit[lane];
    std::memcpy(problem.parameters + row * problem.parameters_stride,
                tile.parameters.data() + lane * bytes, static_cast<size_t>(bytes));
    for (int64_t i = 0; i < problem.columns; ++i) {
      problem.codes[row * problem.codes_stride + i] =
          static_cast<uint8_t>(static_cast<int32_t>(tile.codes[i * kRefineRows + lane]));
    }
  }
}

bool refit_group_lanes(const RefineProblem& problem, int64_t block, int64_t group,
                       const GroupSums* sums, int64_t rows, RefineTile& tile) {
  const int64_t groups = problem.grid->spec().groups_per_block();
  const int64_t columns = problem.grid->spec().group_columns;
  bool any = false;
  for (int64_t lane = 0; lane < rows; ++lane) {
    LaneBlock values = gather(tile, block * groups, groups, lane);
    if (!refit_group(*problem.grid, group, sums[lane], lane_parameters(problem, lane, block, tile),
                     values.scale, values.offset)) {
      continue;
    }
    scatter(values, block * groups, groups, lane, tile);
    pin_codes(problem, (block * groups + group) * columns, columns, lane, tile);
    ++tile.groups_refit[lane];
    any = true;
  }
  return any;
}

bool refit_block_lanes(const RefineProblem& problem, int64_t block, const BlockSums* sums,
                       int64_t rows, RefineTile& tile) {
  const int64_t groups = problem.grid->spec().groups_per_block();
  bool any = false;
  for (int64_t lane = 0; lane < rows; ++lane) {
    LaneBlock values = gather(tile, block * groups, groups, lane);
    if (!refit_block(*problem.grid, sums[lane], lane_parameters(problem, lane, block, tile),
                     values.scale, values.offset)) {
      continue;
    }
    scatter(values, block * groups, groups, lane, tile);
    const int64_t columns = problem.grid->spec().block_columns;
    pin_codes(problem, block * columns, columns, lane, tile);
    ++tile.groups_refit[lane];
    any = true;
  }
  return any;
}

RefineTotals::RefineTotals(int64_t rows)
    : before(rows), after(rows), codes_changed(rows), groups_refit(rows) {}

RefineReport RefineTotals::report() const {
  RefineReport report;
  for (size_t row = 0; row < before.size(); ++row) {
    report.objective_before += before[row];
    report.objective_after += after[row];
    report.codes_changed += codes_changed[row];
    report.groups_refit += groups_refit[row];
  }
  return report;
}

RefineReport refine_tiles(const RefineProblem& problem, const RefineOptions& options,
                          RefineTileFunction refine_tile) {
  const RefinePlan plan = plan_refine(problem);
  RefineTotals totals(problem.rows);
  const int64_t tiles = (problem.rows + kRefineRows - 1) / kRefineRows;
#pragma omp parallel
  {
    RefineTile tile(problem, plan);
    double before[kRefineRows];
    double after[kRefineRows];
#pragma omp for schedule(dynamic)
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t first_row = t * kRefineRows;
      load_tile(problem, plan, first_row, tile);
      refine_tile(problem, plan, options, std::min<int64_t>(kRefineRows, problem.rows - first_row),
                  tile, before);
      objectives(problem, tile, after);
      store_tile(problem, first_row, before, after, tile, totals);
    }
  }
  return totals.report();
}

}  // namespace frugal::kernels
