// A number grid: levels, scales, and the block layout in which codes are stored.
//
// Words: a *block* is `block_columns` consecutive columns of one row that share stored parameters
// (32 for Q4_0, 256 for Q4_K, the group for int4). A *group* is `group_columns` consecutive columns
// inside it that share one (scale, offset). decode: w = scale * level(code) + offset, evaluated in
// fp32; the result equals the runtime's decode bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace frugal::grid {

struct LevelTable;  // grid/scale_search.h

inline constexpr int64_t kMaxGroupsPerBlock = 32;

// How the parameters of a block are chosen.
enum class ScaleSearch {
  kNone,  // the plain min-max/absmax rule
  kFast,  // few candidates, improved by least squares, for sixteen groups at a time (fit_fast)
  kFull   // many candidates for every group (fit)
};

// A block whose parameters are wanted.
struct BlockToFit {
  const float* x = nullptr;  // [block_columns]
  const float* importance =
      nullptr;                      // [block_columns], or null; of all blocks of a call or of none
  std::byte* parameters = nullptr;  // [parameter_bytes], written
};

struct GridSpec {
  std::string name;             // canonical: "q4_k", "int4:g32", "int8:row:asym"
  int64_t block_columns = 0;    // columns per block; a row must be a multiple of it
  int64_t group_columns = 0;    // columns that share (scale, offset); divides block_columns
  int64_t block_bytes = 0;      // bytes of one packed block, parameters included
  int64_t parameter_bytes = 0;  // bytes of one block's parameters as passed to the functions below
  std::vector<float> levels;    // level of each code, ascending; size <= 256
  bool affine = false;          // offsets are used (scale then > 0); otherwise every offset is 0
  bool uniform = false;         // consecutive levels differ by exactly 1: nearest = round and clamp
  bool float8 = false;          // the levels are those of grid/float8.h: nearest = that rounding
  bool free_scale =
      false;  // each group has a scale of its own, stored as fp16 (may be refit alone)
  bool holds_zero = false;  // some code decodes to exactly 0 whatever the parameters: a weight may
                            // be pinned there (sparse and quantized at once)
  std::optional<uint32_t> ggml_type;  // id of the GGUF tensor type with this very layout
  float tensor_scale =
      1;  // what the scales of a whole matrix are meant times, a power of two:
          // decoded scales hold it, packed blocks do not (files keep it beside them)
  double bits_per_weight() const {
    return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_columns);
  }
  int64_t groups_per_block() const { return block_columns / group_columns; }
};

// A scale of 0 (an all-zero group) divides as infinity would: every weight then meets the level
// nearest to 0.
inline float inverse_scale(float scale) { return scale == 0.0f ? 0.0f : 1.0f / scale; }

class Grid {
 public:
  virtual ~Grid() = default;
  const GridSpec& spec() const { return spec_; }

  // Chooses the parameters of one block for the weights `x` [block_columns] by a search that
  // minimizes sum_i w_i (x_i - decode_i)^2 with w_i = importance_i * sqrt(2 mean(x^2) + x_i^2)
  // (the imatrix rule of ggml); importance [block_columns] = E[input_i^2] >= 0, or empty when there
  // was no calibration (all columns equal). Never worse in that sum than the plain rule. Writes
  // spec().parameter_bytes bytes. `search` false: the plain min-max/absmax rule (the baseline that
  // tools without a search use). Stored scales saturate at the largest fp16 (65504); blocks of
  // zeros, or of weights too small for the smallest fp16, get scale 0 and decode to 0. Weights must
  // be finite.
  virtual void fit(std::span<const float> x, std::span<const float> importance, bool search,
                   std::byte* parameters) const = 0;

  // Scale and offset of each group, [groups_per_block] each, as decoded (exact products of stored
  // parts).
  virtual void expand(const std::byte* parameters, float* scale, float* offset) const = 0;

  // Parameters whose expansion is nearest to the wished scales (and offsets; null = zero): after a
  // refit.
  virtual void snap(const float* scale, const float* offset, std::byte* parameters) const = 0;

  // Sets scale and offset of one group to the nearest that can be stored while the other groups of
  // the block keep theirs: fp16 where each group has its own, integer sub-scales under unchanged
  // super-scales for the K types.
  virtual void set_group(int64_t group, float scale, float offset, std::byte* parameters) const = 0;

  // Multiplies all scales, and all offsets, of the block by a factor each, through the super-scales
  // alone (fp16).
  virtual void multiply(float scale_factor, float offset_factor, std::byte* parameters) const = 0;

  // One packed block from parameters and codes [block_columns], and back. Exact inverses of each
  // other.
  virtual void pack(const std::byte* parameters, const uint8_t* codes, std::byte* block) const = 0;
  virtual void unpack(const std::byte* block, std::byte* parameters, uint8_t* codes) const = 0;

  // False for unpacked parameters that no fit could have written and no runtime would take.
  virtual bool valid(const std::byte* /*parameters*/) const { return true; }

  // False for a packed block with codes that stand for no number (FP8's NaN): not to be unpacked.
  virtual bool readable(const std::byte* /*block*/) const { return true; }

  // As fit with a search, and what it promises, by the fast search of many blocks at once; what a
  // block gets does not depend on the others. Grids that have none take the full one.
  virtual void fit_fast(std::span<const BlockToFit> blocks) const;

  // Code of the level nearest to y (ties: to even level value for uniform grids, as nearbyint;
  // to the even fraction for FP8; lower level otherwise).
  uint8_t nearest_code(float y) const;

  // The codes of one block [block_columns]: nearest_code((x - offset) * inverse_scale(scale)).
  void encode(const float* x, const std::byte* parameters, uint8_t* codes) const;

  // The weights [block_columns] of one block.
  void decode(const std::byte* parameters, const uint8_t* codes, float* x) const;

  // Between two neighboring levels: their mean, [levels - 1].
  const std::vector<float>& midpoints() const { return midpoints_; }

  LevelTable table() const;  // the levels as the loops take them; valid as long as the grid

 protected:
  explicit Grid(GridSpec spec);

 private:
  GridSpec spec_;
  std::vector<float> midpoints_;
};

// The grid called `name`: the GGUF types "q2_k" to "q8_0", "iq4_nl", "iq4_xs", "q2_0", "tq2_0",
// "mxfp4" and "nvfp4" (with ":e<k>" for a tensor scale of 2^k; default e-7); "int2", "int3",
// "int4", "int8" with ":g<N>" (default g32) or ":row", and ":asym"; "nf4" (default g64) and "fp8"
// (default row) with ":g<N>" or ":row". `row_columns` resolves a whole row (0: only for grids that
// do not need it). Errors: a misspelt name (with the nearest one), a group that is no number of
// columns.
absl::StatusOr<std::shared_ptr<const Grid>> find_grid(std::string_view name, int64_t row_columns);

// Names for help and suggestions, best documented order, each with one sentence.
struct GridHelp {
  std::string name;
  std::string summary;
};
std::vector<GridHelp> grid_help();

// OK when a matrix with rows of `columns` fits the grid; the error names the row length, the block
// and the remedy.
absl::Status check_columns(const GridSpec& spec, int64_t columns, std::string_view tensor_name);

// A matrix on a grid: exact codes and parameters, row-major.
struct QuantizedMatrix {
  std::shared_ptr<const Grid> grid;
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<uint8_t> codes;         // [rows, columns]
  std::vector<std::byte> parameters;  // [rows, columns / block_columns, parameter_bytes]

  int64_t blocks_per_row() const { return columns / grid->spec().block_columns; }
  int64_t row_bytes() const { return blocks_per_row() * grid->spec().block_bytes; }
  std::byte* block_parameters(int64_t row, int64_t block);
  const std::byte* block_parameters(int64_t row, int64_t block) const;
};

QuantizedMatrix empty_matrix(std::shared_ptr<const Grid> grid, int64_t rows, int64_t columns);

// Packed blocks [rows, row_bytes] in the grid's layout (for GGUF types: the file's bytes), and
// back. `unpack_matrix` checks the byte count before it allocates. Errors: InvalidArgument,
// DataLoss (blocks that are not readable(), parameters that are not valid()).
std::vector<std::byte> pack_matrix(const QuantizedMatrix& matrix);
absl::StatusOr<QuantizedMatrix> unpack_matrix(std::shared_ptr<const Grid> grid, int64_t rows,
                                              int64_t columns, std::span<const std::byte> blocks);

// Decoded weights, fp32 [rows, columns] row-major into `out`.
void decode_matrix(const QuantizedMatrix& matrix, float* out);

// Round to nearest: fits each block on the weights alone (importance: E[x^2] per column [columns],
// or empty) and rounds. `weights` finite fp32 [rows, columns]; NaN or infinity is an
// InvalidArgument error. Rows run across OpenMP threads; the result does not depend on their
// number.
absl::StatusOr<QuantizedMatrix> round_to_nearest(std::shared_ptr<const Grid> grid,
                                                 const float* weights, int64_t rows,
                                                 int64_t columns, std::span<const float> importance,
                                                 ScaleSearch search);
// With the full search, or with none.
absl::StatusOr<QuantizedMatrix> round_to_nearest(std::shared_ptr<const Grid> grid,
                                                 const float* weights, int64_t rows,
                                                 int64_t columns, std::span<const float> importance,
                                                 bool search);

}  // namespace frugal::grid
