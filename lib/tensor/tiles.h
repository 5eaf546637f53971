// Tensor work in parallel tiles: the shape of a tile depends on the operands alone and each tile
// runs on one thread, so that every result has the same bits at any number of threads. (A BLAS call
// on several threads may cut the inner dimension.)
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace frugal::tensor {

// Runs body(0) .. body(count - 1) across threads, without autograd; LibTorch calls inside a body
// stay on its thread. The first exception of a body is thrown.
void for_each_tile(int64_t count, const std::function<void(int64_t)>& body);

// a · b; a [m, k], b [k, n], same type and device. CPU: rows of `a` in tiles; elsewhere one call.
at::Tensor matrix_product(const at::Tensor& a, const at::Tensor& b);

// out -= a · b in place; out [m, n] may be a view of columns.
void subtract_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b);

// sum_ij a[r, i] * m[i, j] * b[r, j] for every row r, tr(A M Bᵀ) in all: [rows] fp64. a, b [rows,
// d], m [d, d] of float types; A M is computed in the wider one of a's and m's. With a = b = ΔW and
// m = H it is each row's squared output error per token.
at::Tensor row_products(const at::Tensor& a, const at::Tensor& m, const at::Tensor& b);

}  // namespace frugal::tensor
