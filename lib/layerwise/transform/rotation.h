// Orthogonal matrices, seeded or of principal directions, for turning a model's residual stream and
// its heads (QuaRot, Ashkboos et al. 2024; SpinQuant, Liu et al. 2024:
// arXiv 2404.00456, 2405.16406).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace frugal::layerwise {

// A Hadamard matrix [n, n] fp64 of ±1 with H Hᵀ = n I, or an undefined tensor where none of the
// constructions here reaches n: doubling (Sylvester) from 1, from q + 1 with a prime q ≡ 3 mod 4,
// and from 2 (q + 1) with a prime q ≡ 1 mod 4 (Paley 1933). These cover 2^k times 1, 12, 20, 28,
// 36, 44, ..
at::Tensor hadamard(int64_t n);

enum class RotationKind {
  kHadamard,    // random signs times Hadamard: spreads every channel evenly over all
  kOrthogonal,  // uniform over all orthogonal matrices
};

// Q [n, n] fp64 with QᵀQ = I to some 1e-14. kHadamard where n has no Hadamard matrix: of the
// largest divisor of n that has one, Kronecker a random orthogonal one of the rest. The same bits
// on every machine with the same LibTorch, at any number of threads; `name` and `seed` choose the
// draw.
at::Tensor random_rotation(int64_t n, RotationKind kind, uint64_t seed, std::string_view name);

// Q [n, n] fp64 whose columns are the principal directions of `moment` [n, n] (symmetric), the
// largest first (SliceGPT, Ashkboos et al. 2024): in x Q the first channels hold the most energy.
// Each column's largest element is positive. On one thread: the same bits at any number.
at::Tensor principal_rotation(const at::Tensor& moment);

}  // namespace frugal::layerwise
