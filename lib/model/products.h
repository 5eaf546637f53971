// The large products of a walk: second moments of activations and forwards through a stage's
// matrices.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace frugal::model {

enum class Precision {
  kFloat32,
  // Factors rounded where that makes products faster, sums in fp32: to bfloat16 on CPUs with
  // AVX512-BF16 (kernels/bf16_product.h), to TF32 on CUDA; elsewhere fp32. Second moments of inputs
  // rounded to eight bits differ from the exact ones by noise on the diagonal, at most 2⁻¹⁸/3 of
  // its element, four orders of magnitude below the usual damping.
  kRounded,
};

// The vectors that a matrix stands for.
enum class Vectors { kRows, kColumns };

// The table of all a_i · b_j, [vectors of a, vectors of b] fp32, for matrices [.., ..] fp32: A Bᵀ
// by rows, AᵀB by columns, A B by rows of A and columns of B. Serial on the CPU: for use inside
// tiles.
at::Tensor vector_products(const at::Tensor& a, Vectors a_vectors, const at::Tensor& b,
                           Vectors b_vectors, Precision precision);

// A chunk of activations [tokens, n] (fp32 or bf16) as a factor of sums over its tokens, made ready
// once for all of them.
class TokenFactor {
 public:
  // `minus` [tokens, n]: the factor is the difference x − minus, taken before anything is rounded.
  explicit TokenFactor(const at::Tensor& x, Precision precision, const at::Tensor& minus = {});
  int64_t tokens() const { return tokens_; }
  int64_t columns() const { return columns_; }
  Precision precision() const { return precision_; }

 private:
  friend class ProductSum;
  int64_t tokens_, columns_;
  Precision precision_;
  at::Tensor values_;  // [tokens, n], or
  at::Tensor words_;   // int32 [panels, pairs, 64], packed
  bool tf32_ = false;
};

// Sum of leftᵀ right over chunks that come one after the other, [tokens_i, m] and [tokens_i, n].
// Chunks are multiplied unscaled in fp32 and added in fp64 in their order. On
// the CPU in tiles: the same bits at any number of threads.
class ProductSum {
 public:
  // `symmetric`: left is right; the lower half is mirrored.
  explicit ProductSum(bool symmetric) : symmetric_(symmetric) {}
  void add(const TokenFactor& left, const TokenFactor& right);
  // fp64 [m, n] on the CPU; undefined where nothing came. The sum ends here.
  at::Tensor take();

 private:
  bool symmetric_;
  at::Tensor sum_;  // of a symmetric sum on the CPU the tiles on and above the diagonal
};

// A stage's matrices made ready for many chunks.
class StageProduct {
 public:
  StageProduct() = default;  // of no matrices
  // `stacked` [R, in] fp32, of matrices with these numbers of rows.
  StageProduct(const at::Tensor& stacked, const std::vector<int64_t>& row_counts,
               Precision precision);
  // x W_mᵀ for every matrix: [.., rows_m] fp32 for x [.., in] fp32. Serial: chunks are what threads
  // share.
  std::vector<at::Tensor> apply(const at::Tensor& x) const;

 private:
  std::vector<at::Tensor> matrices_;  // [rows, in], or
  std::vector<at::Tensor> words_;     // packed
  std::vector<int64_t> row_counts_;
  bool tf32_ = false;
};

}  // namespace frugal::model
