// Experts that become one: which are alike, how their neurons are laid over each other, and what
// one expert in place of several should be.
//
//  - Groups: hierarchical clustering of what experts make of the same tokens (HC-SMoE, Chen et al.
//    2024), with Ward's criterion (1963): the two groups are joined whose means, weighted by how
//    often their experts are chosen, then stand for the outputs with the least squared error.
//  - Alignment: neurons of an expert may stand in any order, and the signs of a row of up and a
//    column of down may change together, without any effect. Averages mean something only between
//    neurons that do the same: a permutation by linear sum assignment on the products of their
//    weights (Ainsworth et al. 2023, "Git Re-Basin"; M-SMoE, Li et al. 2024).
//  - The average, weighted by usage; then down is refitted by least squares, so that the merged
//    expert gives what its members gave to their own tokens, and the router's row, so that the
//    group is chosen where its best member was.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "layerwise/pruning/expert_outputs.h"

namespace frugal::layerwise {

// `products` [E, E] fp64: sums over tokens of o_e · o_f; `usage` by expert: tokens that came to it,
// of which none counts as one. So many groups, each with its most used expert (of equal ones the
// first) in front and the others ascending, in the order of those in front.
std::vector<std::vector<int64_t>> group_experts(const at::Tensor& products,
                                                const std::vector<int64_t>& usage, int64_t groups);

// `expert` with its neurons in the order (and with the signs) in which they are nearest to those of
// `reference`: the same function.
ExpertMatrices aligned(const ExpertMatrices& expert, const ExpertMatrices& reference);

// Sum of experts by weights that sum to one.
ExpertMatrices average(const std::vector<ExpertMatrices>& experts,
                       const std::vector<double>& weights);

// Least squares for a matrix W [rows, columns] that should turn inputs x into targets y: W + δ with
// δ = Σ q (y − W x) xᵀ (Σ q x xᵀ + λI)⁻¹, over rows that come chunk by chunk with weights q. With
// nothing to make up for, δ is zero.
class WeightedRefit {
 public:
  // `weights` W [rows, columns] fp32.
  explicit WeightedRefit(at::Tensor weights) : weights_(std::move(weights)) {}

  // x [n, columns], y [n, rows], q [n]; fp32.
  void add(const at::Tensor& inputs, const at::Tensor& targets, const at::Tensor& importance);
  int64_t rows_seen() const { return seen_; }

  struct Result {
    at::Tensor weights;                  // fp32 [rows, columns]
    double error_before = 0;             // Σ q |y − W x|² / Σ q |y|²; 0 where there are no targets
    double error_after = 0;              // the same with δ
    std::optional<double> damping = {};  // absent: not refitted, no rows came
  };
  // `damping`: λ as a share of the mean diagonal; 0: by the number of rows (factor.h). Errors: as
  // factorize.
  absl::StatusOr<Result> solve(double damping);

 private:
  at::Tensor weights_;
  int64_t seen_ = 0;
  at::Tensor moment_, cross_;  // fp64 Σ q x xᵀ, Σ q (y − W x) xᵀ
  double squares_ = 0, errors_ = 0;
};

}  // namespace frugal::layerwise
