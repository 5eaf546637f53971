// What a rotation does to each weight of a model; equivalent by construction.
//
// The residual stream x becomes x Q. A norm's gain γ goes into the matrices behind it first,
// because only a norm without gains commutes with Q:
//   embedding E Q;  readers (q, k, v, gate, up, head) W diag(γ) Q, γ = 1;  writers (o, down) Qᵀ W
// A value head v becomes v R: rows of v_proj Rᵀ W_v, columns of every query head of o_proj W_o R.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/status.h"
#include "format/checkpoint.h"
#include "layerwise/transform/rotation.h"

namespace frugal::passes {

struct RotateOptions {
  bool residual = true;
  bool heads = true;
  layerwise::RotationKind kind = layerwise::RotationKind::kHadamard;
  uint64_t seed = 1;
  at::Tensor stream = {};  // Q of the residual stream [C, C] fp64; undefined: by kind and seed
};

// What happens to one weight. All false: it stays.
struct RotationRole {
  std::string gains = {};  // name of the norm whose γ multiplies the columns
  bool reads = false;      // times Q from the right
  bool writes = false;     // times Qᵀ from the left
  bool becomes_ones = false;
  double gain_offset = 0;  // what the model adds to the stored gains (architecture::stored_offset)
  int64_t value_rows_of = -1;     // layer whose Rᵀ rotates the rows
  int64_t value_columns_of = -1;  // layer whose R rotates the columns
  bool operator==(const RotationRole&) const = default;
};
using RotationRoles = std::map<std::string, RotationRole, std::less<>>;

// The config of the result: a tied head has the final norm's gains in it, so that it is untied.
architecture::ModelConfig rotated_config(architecture::ModelConfig config,
                                         const RotateOptions& options);

// A role for each weight that `rotated_config` demands and that changes. Errors: a residual stream
// that norms behind its writers keep from being rotated.
absl::StatusOr<RotationRoles> rotation_roles(const architecture::ModelConfig& config,
                                             const RotateOptions& options);

// Computes the new weights of a checkpoint, one at a time, in fp64.
class WeightRotator {
 public:
  WeightRotator(const format::Checkpoint& input, const RotateOptions& options)
      : input_(input), options_(options) {}

  // Weight `name` of the result, fp32 on the CPU. Errors as tensor::load.
  absl::StatusOr<at::Tensor> rotated(const std::string& name, const RotationRole& role);
  // The largest |QᵀQ − I| of all rotations used so far.
  double orthogonality_error() const { return orthogonality_error_; }

 private:
  const at::Tensor& rotation(int64_t size, const std::string& name);
  at::Tensor apply(const at::Tensor& weights, const at::Tensor& gains, const RotationRole& role);

  const format::Checkpoint& input_;
  RotateOptions options_;
  std::map<std::string, at::Tensor, std::less<>> rotations_;  // the residual stream's, one layer's
  double orthogonality_error_ = 0;
};

}  // namespace frugal::passes
