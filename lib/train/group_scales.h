// Trainable scales of one quantized matrix, its codes frozen.
//
// Every group's scale is a0 (1 + S)(1 + s) and its offset c0 (1 + Z)(1 + z): s, z belong to the
// group, S, Z to the block. S and Z exist only where a block's groups share stored super-scales (K
// types): they move in steps of fp16, while s and z only choose among the integer sub-scales. What
// a forward sees is always what the grid can store; gradients pass the rounding straight through
// (Bengio et al. 2013, arXiv 1308.3432).
#pragma once

#include <ATen/core/Tensor.h>

#include "grid/grid.h"

namespace frugal::train {

// What is trained; a part that does not exist is undefined. All fp32 on the CPU.
struct ScaleFactors {
  at::Tensor scale;         // s [R, groups of a row]
  at::Tensor offset;        // z [R, groups of a row]
  at::Tensor block_scale;   // S [R, blocks of a row]
  at::Tensor block_offset;  // Z [R, blocks of a row]
};

struct ScaleParts {
  bool offsets = true;     // train the offsets of affine grids, too
  bool sub_scales = true;  // train s and z where there are S and Z
};

// Derivatives by the logarithm of each group's scale and of each group's offset, [R, groups of a
// row].
struct GroupGradients {
  at::Tensor scale, offset;  // offset undefined where offsets are not trained
};

class GroupScales {
 public:
  // `start` is copied; its codes never change.
  GroupScales(grid::QuantizedMatrix start, const ScaleParts& parts);

  ScaleFactors& factors() { return factors_; }
  const grid::QuantizedMatrix& start() const { return start_; }
  bool trains_offsets() const { return trains_offsets_; }

  // Keeps every factor 1 + x inside [1/2, 2].
  void clamp();

  // The matrix with the factors as they are, snapped to what the grid stores. All factors zero:
  // `start`, bit for bit.
  const grid::QuantizedMatrix& snap();

  // Decodes the matrix of the last snap() into `weights` [R, in] fp32 on the CPU.
  void decode(const at::Tensor& weights) const;

  // `weights` [R, in] as an input of a graph: the result has the same values, and its gradient,
  // summed over each group, becomes that of `leaves`. Per group, with G the gradient by the weights
  // and W, c the values of the last snap(): scale = sum G (W - c), offset = sum G c. An offset that
  // the grid ties to its scale (an integer zero point) moves with it: scale = sum G W.
  at::Tensor attach(const GroupGradients& leaves, const at::Tensor& weights) const;

  // Zero tensors on `device` that require gradients, as attach() takes them.
  GroupGradients leaves(const at::Device& device) const;

  // Turns summed gradients of leaves into those of the factors, and sets them as the factors'
  // .grad().
  void set_gradients(const GroupGradients& sums);

 private:
  int64_t groups_per_row() const;
  void snap_block(int64_t row, int64_t block);

  grid::QuantizedMatrix start_, snapped_;
  ScaleFactors factors_;
  at::Tensor offsets_;  // c [R, groups of a row] of snapped_; undefined where no group has one
  bool tied_offsets_ = false;
  bool trains_offsets_ = false;
};

}  // namespace frugal::train
