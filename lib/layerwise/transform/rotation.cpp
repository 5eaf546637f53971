#include "layerwise/transform/rotation.h"

#include <cmath>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "layerwise/rounding/factor.h"
#include "tensor/aten.h"
#include "tensor/tiles.h"

namespace frugal::layerwise {
namespace {

bool is_prime(int64_t n) {
  if (n < 2) return false;
  for (int64_t d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return true;
}

// χ(b - a) [q, q]: 1 where b - a is a square mod q, -1 where it is not, 0 on the diagonal.
at::Tensor jacobsthal(int64_t q) {
  std::vector<double> character(static_cast<size_t>(q), -1.0);
  character[0] = 0;
  for (int64_t x = 1; x < q; ++x) character[static_cast<size_t>(x * x % q)] = 1;
  at::Tensor result = at::empty({q, q}, at::kDouble);
  double* data = result.mutable_data_ptr<double>();
  for (int64_t a = 0; a < q; ++a) {
    for (int64_t b = 0; b < q; ++b)
      data[a * q + b] = character[static_cast<size_t>((b - a + q) % q)];
  }
  return result;
}

// [0 1; ±1 Q]: the conference matrix of q, skew for q ≡ 3 mod 4, else symmetric.
at::Tensor conference(int64_t q) {
  at::Tensor c = at::zeros({q + 1, q + 1}, at::kDouble);
  c.narrow(0, 1, q).narrow(1, 1, q).copy_(jacobsthal(q));
  c.select(0, 0).narrow(0, 1, q).fill_(1);
  c.select(1, 0).narrow(0, 1, q).fill_(q % 4 == 3 ? -1 : 1);
  return c;
}

at::Tensor matrix_of_two(double a, double b, double c, double d) {
  return at::tensor(std::vector<double>{a, b, c, d}, at::kDouble).view({2, 2});
}

at::Tensor normal_matrix(int64_t n, uint64_t seed, std::string_view name) {
  base::RandomStream stream(seed, name);
  at::Tensor result = at::empty({n, n}, at::kDouble);
  double* data = result.mutable_data_ptr<double>();
  for (int64_t i = 0; i < n * n; ++i) data[i] = stream.normal();
  return result;
}

// Of a square normal matrix, with positive diagonal of R: uniform (Mezzadri 2007). Cholesky QR,
// repeated: each turn squares what is left of non-orthogonality.
at::Tensor uniform_orthogonal(int64_t n, uint64_t seed, std::string_view name) {
  constexpr int kTurns = 3;
  at::Tensor q = normal_matrix(n, seed, name);
  for (int turn = 0; turn < kTurns; ++turn) {
    const at::Tensor lower = lower_cholesky(tensor::matrix_product(q.t().contiguous(), q));
    TORCH_CHECK(lower.defined(), "the random matrix of ", std::string(name),
                " is singular in fp64; "
                "take another seed");
    q = tensor::matrix_product(q, invert_lower(lower).t().contiguous());
  }
  return q;
}

at::Tensor random_signs(int64_t n, uint64_t seed, std::string_view name) {
  base::RandomStream stream(seed, name);
  at::Tensor result = at::empty({n, 1}, at::kDouble);
  double* data = result.mutable_data_ptr<double>();
  for (int64_t i = 0; i < n; ++i) data[i] = stream.bernoulli(0.5) ? 1.0 : -1.0;
  return result;
}

int64_t largest_hadamard_divisor(int64_t n) {
  for (int64_t divisor = n; divisor > 1; --divisor) {
    if (n % divisor == 0 && hadamard(divisor).defined()) return divisor;
  }
  return 1;
}

}  // namespace

at::Tensor hadamard(int64_t n) {
  if (n == 1) return at::ones({1, 1}, at::kDouble);
  if (n < 1 || n % 2 != 0) return {};
  if (const at::Tensor half = hadamard(n / 2); half.defined()) {
    return at::kron(matrix_of_two(1, 1, 1, -1), half);
  }
  if (n % 4 == 0 && is_prime(n - 1)) {  // n - 1 ≡ 3 mod 4
    return conference(n - 1) + at::eye(n, at::kDouble);
  }
  const int64_t q = n / 2 - 1;
  if (n % 4 == 0 && q % 4 == 1 && is_prime(q)) {
    return at::kron(conference(q), matrix_of_two(1, 1, 1, -1)) +
           at::kron(at::eye(q + 1, at::kDouble), matrix_of_two(1, -1, -1, -1));
  }
  return {};
}

at::Tensor random_rotation(int64_t n, RotationKind kind, uint64_t seed, std::string_view name) {
  TORCH_CHECK(n >= 1, "a rotation of ", n, " channels");
  if (kind == RotationKind::kOrthogonal) {
    return uniform_orthogonal(n, seed, base::str_cat("rotation/orthogonal/", name));
  }
  const int64_t even = largest_hadamard_divisor(n);
  at::Tensor q = hadamard(even) / std::sqrt(static_cast<double>(even));
  if (even < n) {
    q = at::kron(q, uniform_orthogonal(n / even, seed, base::str_cat("rotation/rest/", name)));
  }
  return random_signs(n, seed, base::str_cat("rotation/signs/", name)) * q;
}

at::Tensor principal_rotation(const at::Tensor& moment) {
  TORCH_CHECK(moment.dim() == 2 && moment.size(0) == moment.size(1) && moment.size(0) > 0,
              "a square second moment expected, found ", moment.sizes());
  TORCH_CHECK_VALUE(at::isfinite(moment).all().item<bool>(),
                    "the second moment holds a NaN or infinity");
  at::Tensor q;
  tensor::for_each_tile(1, [&](int64_t) {
    q = std::get<1>(at::linalg_eigh(moment.to(at::kDouble))).flip(1).contiguous();
  });
  const at::Tensor places = q.abs().argmax(0, /*keepdim=*/true);
  return q * q.gather(0, places).sign();
}

}  // namespace frugal::layerwise
