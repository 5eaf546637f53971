// The column sweep of one thread block (kernels/sweep.h has the mathematics): a warp for each row,
// which keeps its window of weights in shared memory; U passes through shared memory in slabs of at
// most 32 of its rows. Inside a slab a lane holds one column and every column updates the later
// ones at once; the columns behind the slab take its updates together, each weight still in
// ascending order of p.
#pragma once

#include "kernels/cuda/fit_steps.h"

namespace frugal::kernels::cuda {

// FrugalCudaSweep as kernels take it: by value, small tables included.
struct SweepArguments {
  FrugalCudaSweep sweep;  // its host pointers are not used on the device
  int32_t rows_per_block;
  int32_t columns[FRUGAL_CUDA_LARGEST_WINDOW];
  uint16_t groups[FRUGAL_CUDA_LARGEST_WINDOW];
  float levels[FRUGAL_CUDA_LARGEST_LEVELS];
};

constexpr int kSlabRows = 32;

// Floats of shared memory: tables, a slab of U, and for each row the state below.
FRUGAL_SIZE int64_t table_floats(const FrugalCudaSweep& s) {
  return s.uniform != 0 ? 0 : 2 * static_cast<int64_t>(s.level_count);
}
FRUGAL_SIZE int64_t row_floats(const FrugalCudaSweep& s) {
  const int64_t codes = (s.width + 3) / 4;
  const int64_t fit = s.fit == FRUGAL_CUDA_FIT_NONE
                          ? 0
                          : 3 * static_cast<int64_t>(s.block_columns) + kFitLaneArrays * kLanes;
  return 5 * static_cast<int64_t>(s.width) + codes + fit;
}

// One row's share of shared memory; arrays [width] by position.
struct RowState {
  float* weights;  // current
  float* errors;
  float* scale;
  float* inverse;
  float* offset;
  uint8_t* codes;
  FitMemory fit;
};

FRUGAL_STEP RowState row_state(const FrugalCudaSweep& s, float* memory) {
  RowState row;
  row.weights = memory;
  row.errors = row.weights + s.width;
  row.scale = row.errors + s.width;
  row.inverse = row.scale + s.width;
  row.offset = row.inverse + s.width;
  row.codes = reinterpret_cast<uint8_t*>(row.offset + s.width);
  float* fit = row.offset + s.width + (s.width + 3) / 4;
  row.fit.x = fit;
  row.fit.weight = fit + s.block_columns;
  row.fit.weighted_x = fit + 2 * s.block_columns;
  for (int i = 0; i < kFitLaneArrays; ++i) row.fit.lane[i] = fit + 3 * s.block_columns + i * kLanes;
  return row;
}

FRUGAL_STEP void set_scale(const RowState& row, int p, float scale, float offset) {
  row.scale[p] = scale;
  row.inverse[p] = inverse_scale(scale);
  row.offset[p] = offset;
}

// The scale of position p where it is given.
FRUGAL_STEP void read_scale(const SweepArguments& a, int64_t r, int p, const RowState& row) {
  const FrugalCudaSweep& s = a.sweep;
  if (s.store == FRUGAL_CUDA_STORE_EXPANDED) {
    const int64_t group = r * s.groups_stride + a.groups[p];
    set_scale(row, p, s.scales[group], s.offsets[group]);
    return;
  }
  const uint8_t* const stored =
      s.parameters + r * s.parameters_stride +
      static_cast<int64_t>(a.columns[p] / s.block_columns) * s.parameter_bytes;
  const float scale = load_half(stored);
  const bool has_zero = s.store == FRUGAL_CUDA_STORE_ZERO;
  set_scale(row, p, scale, has_zero ? -(scale * static_cast<float>(stored[2])) : 0.0f);
}

// Weights, and scales where they are given.
template <class Team>
FRUGAL_STEP void load_row(Team& team, const SweepArguments& a, int64_t r, const RowState& row) {
  const FrugalCudaSweep& s = a.sweep;
  team.each([&](int lane) {
    for (int p = lane; p < s.width; p += kLanes) {
      row.weights[p] = s.weights[r * s.weights_stride + p];
      if (s.fit == FRUGAL_CUDA_FIT_NONE) read_scale(a, r, p, row);
    }
  });
}

// Parameters of the grid block that begins at position `begin`, from the current weights.
template <class Team>
FRUGAL_STEP void fit_block(Team& team, const SweepArguments& a, int64_t r, int begin,
                           const Levels& table, const RowState& row) {
  const FrugalCudaSweep& s = a.sweep;
  const int end = begin + s.block_columns;
  const int block = a.columns[begin] / s.block_columns;
  const int start = block * s.block_columns;
  team.each([&](int lane) {
    for (int p = begin + lane; p < end; p += kLanes)
      row.fit.x[a.columns[p] - start] = row.weights[p];
  });
  const float* const importance = s.importance == nullptr ? nullptr : s.importance + start;
  ScaleAndZero found = {0, 0};
  if (s.fit == FRUGAL_CUDA_FIT_SCALE) {
    found.scale = fit_scale(team, row.fit, s.block_columns, importance, table,
                            s.plain_absolute != 0, s.plain_divisor);
  } else {
    found = fit_scale_and_zero(team, row.fit, s.block_columns, importance, table);
    const float top = table.high < found.zero ? table.high : found.zero;
    found.zero = static_cast<float>(static_cast<int>(found.zero > 0 ? top : 0.0f));
  }
  const float stored = round_to_half(found.scale);
  const float offset = s.fit == FRUGAL_CUDA_FIT_SCALE ? 0.0f : -(stored * found.zero);
  uint8_t* const out =
      s.parameters + r * s.parameters_stride + static_cast<int64_t>(block) * s.parameter_bytes;
  team.each([&](int lane) {
    if (lane == 0) {
      store_half(found.scale, out);
      if (s.fit == FRUGAL_CUDA_FIT_ZERO) out[2] = static_cast<uint8_t>(found.zero);
    }
    for (int p = begin + lane; p < end; p += kLanes) set_scale(row, p, stored, offset);
  });
}

// Rounds columns [begin, end), at most 32, and updates all later ones. `slab`: U's rows from begin
// on, `stride` floats each.
template <class Team>
FRUGAL_STEP void sweep_columns(Team& team, const FrugalCudaSweep& s, int begin, int end,
                               const float* slab, const Levels& table, const RowState& row) {
  const int stride = s.width;
  for (int p = begin; p < end; ++p) {
    const float* const factor = slab + (p - begin) * stride;
    team.each([&](int lane) {
      const float w = row.weights[p];
      const float offset = row.offset[p];
      const int code = nearest_code(table, (w - offset) * row.inverse[p]);
      const float q = row.scale[p] * level_of(table, code) + offset;
      const float error = -((q - w) / factor[p]);
      const int j = begin + lane;
      if (j > p && j < end) row.weights[j] = fmaf(-error, factor[j], row.weights[j]);
      if (lane != 0) return;
      row.errors[p] = error;
      row.codes[p] = static_cast<uint8_t>(code);
    });
  }
  team.each([&](int lane) {
    for (int j = end + lane; j < s.width; j += kLanes) {
      float w = row.weights[j];
      for (int p = begin; p < end; ++p) w = fmaf(-row.errors[p], slab[(p - begin) * stride + j], w);
      row.weights[j] = w;
    }
  });
}

template <class Team>
FRUGAL_STEP void store_row(Team& team, const SweepArguments& a, int64_t r, const RowState& row) {
  const FrugalCudaSweep& s = a.sweep;
  team.each([&](int lane) {
    for (int p = lane; p < s.width; p += kLanes) {
      s.errors[r * s.errors_stride + p] = row.errors[p];
      s.codes[r * s.codes_stride + a.columns[p]] = row.codes[p];
    }
    if (lane != 0 || s.row_loss == nullptr) return;
    double loss = 0;
    for (int p = 0; p < s.width; ++p)
      loss += static_cast<double>(row.errors[p]) * static_cast<double>(row.errors[p]);
    s.row_loss[r] += loss;
  });
}

FRUGAL_STEP int slab_end(const FrugalCudaSweep& s, int begin) {
  int end = begin + kSlabRows < s.width ? begin + kSlabRows : s.width;
  if (s.fit != FRUGAL_CUDA_FIT_NONE) {  // a block is fitted when all its weights are up to date
    const int next_block = (begin / s.block_columns + 1) * s.block_columns;
    if (next_block < end) end = next_block;
  }
  return end;
}

// Rows block_index * rows_per_block and on. `Block` gives shared memory and runs bodies on all
// threads (each_thread) or all warps (each_warp), with a barrier behind each.
template <class Block>
FRUGAL_STEP void sweep_thread_block(Block& block, const SweepArguments& a, int64_t block_index) {
  const FrugalCudaSweep& s = a.sweep;
  float* const levels = block.shared();
  float* const slab = levels + table_floats(s);
  float* const rows = slab + kSlabRows * static_cast<int64_t>(s.width);
  const int64_t first = block_index * a.rows_per_block;
  const Levels table = {levels,      levels + s.level_count,     s.level_count, s.uniform,
                        a.levels[0], a.levels[s.level_count - 1]};
  block.each_warp([&](auto& team, int warp) {
    if (first + warp < s.rows)
      load_row(team, a, first + warp, row_state(s, rows + warp * row_floats(s)));
  });
  for (int begin = 0; begin < s.width;) {
    const int end = slab_end(s, begin);
    block.each_thread([&](int thread, int threads) {
      if (begin == 0 && s.uniform == 0) {
        for (int i = thread; i < s.level_count; i += threads) {
          levels[i] = a.levels[i];
          if (i + 1 < s.level_count)
            levels[s.level_count + i] = (a.levels[i] + a.levels[i + 1]) * 0.5f;
        }
      }
      const int count = (end - begin) * s.width;
      for (int i = thread; i < count; i += threads) {
        const int p = i / s.width, j = i % s.width;
        if (j >= begin + p) slab[i] = s.factor[(begin + p) * s.factor_stride + j];
      }
    });
    block.each_warp([&](auto& team, int warp) {
      if (first + warp >= s.rows) return;
      const RowState row = row_state(s, rows + warp * row_floats(s));
      if (s.fit != FRUGAL_CUDA_FIT_NONE && begin % s.block_columns == 0)
        fit_block(team, a, first + warp, begin, table, row);
      sweep_columns(team, s, begin, end, slab, table, row);
    });
    begin = end;
  }
  block.each_warp([&](auto& team, int warp) {
    if (first + warp < s.rows)
      store_row(team, a, first + warp, row_state(s, rows + warp * row_floats(s)));
  });
}

FRUGAL_SIZE int64_t shared_bytes(const FrugalCudaSweep& s, int rows_per_block) {
  return 4 * (table_floats(s) + kSlabRows * static_cast<int64_t>(s.width) +
              rows_per_block * row_floats(s));
}

// Rows of a thread block, as many warps: few where a row's state is large, so that the block's
// memory stays below the 99 KB that every GPU since sm_80 has.
FRUGAL_SIZE int rows_per_block(const FrugalCudaSweep& s) {
  int rows = 8;
  while (rows > 1 && shared_bytes(s, rows) > 96 * 1024) rows /= 2;
  return rows;
}

// Why the module cannot run `s`, or null.
FRUGAL_SIZE const char* sweep_problem(const FrugalCudaSweep& s) {
  if (s.rows < 0 || s.width < 1 || s.width > FRUGAL_CUDA_LARGEST_WINDOW)
    return "the window has no columns or too many";
  if (s.level_count < 2 || s.level_count > FRUGAL_CUDA_LARGEST_LEVELS)
    return "the grid has too few or too many levels";
  if (s.block_columns < 1) return "the grid has empty blocks";
  if (s.store < FRUGAL_CUDA_STORE_EXPANDED || s.store > FRUGAL_CUDA_STORE_ZERO)
    return "unknown store";
  if (s.store == FRUGAL_CUDA_STORE_EXPANDED &&
      (s.scales == nullptr || s.offsets == nullptr || s.groups == nullptr))
    return "no expanded scales";
  if (s.fit != FRUGAL_CUDA_FIT_NONE && s.width % s.block_columns != 0)
    return "the window is no multiple of the block to be fitted";
  if (s.fit != FRUGAL_CUDA_FIT_NONE && s.fit != s.store) return "no fit for that store";
  return nullptr;
}

// `s` with its host tables, as a kernel takes it. Call where sweep_problem is null.
inline SweepArguments sweep_arguments(const FrugalCudaSweep& s) {
  SweepArguments a = {};
  a.sweep = s;
  a.rows_per_block = rows_per_block(s);
  memcpy(a.columns, s.columns, sizeof(int32_t) * static_cast<size_t>(s.width));
  memcpy(a.levels, s.levels, sizeof(float) * static_cast<size_t>(s.level_count));
  for (int p = 0; s.groups != nullptr && p < s.width; ++p)
    a.groups[p] = static_cast<uint16_t>(s.groups[p]);
  return a;
}

}  // namespace frugal::kernels::cuda
