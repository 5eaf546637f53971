#include "layerwise/transform/rotation.h"

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

double defect(const at::Tensor& q) {  // of QᵀQ = I
  return (at::mm(q.t(), q) - at::eye(q.size(0), at::kDouble)).abs().max().item<double>();
}

TEST(Rotation, HadamardMatricesAreExact) {
  for (const int64_t n :
       {1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 72, 76, 96, 144, 288}) {
    const at::Tensor h = hadamard(n);
    ASSERT_TRUE(h.defined()) << n;
    EXPECT_TRUE(h.abs().eq(1).all().item<bool>()) << n;
    EXPECT_TRUE(at::equal(at::mm(h, h.t()), static_cast<double>(n) * at::eye(n, at::kDouble))) << n;
  }
  for (const int64_t n : {3, 6, 9, 14, 18, 30, 92}) EXPECT_FALSE(hadamard(n).defined()) << n;
}

TEST(Rotation, IsOrthogonal) {
  for (const RotationKind kind : {RotationKind::kHadamard, RotationKind::kOrthogonal}) {
    for (const int64_t n : {1, 2, 3, 9, 16, 18, 48, 90, 128, 200, 260}) {
      const at::Tensor q = random_rotation(n, kind, 7, "test");
      EXPECT_EQ(q.sizes(), (at::IntArrayRef{n, n}));
      EXPECT_LT(defect(q), 1e-13) << n;  // sums of n <= 260 products, unit roundoff 1e-16
    }
  }
}

TEST(Rotation, HadamardSpreadsEvenly) {
  const at::Tensor q = random_rotation(48, RotationKind::kHadamard, 7, "test");
  EXPECT_LT((q.abs() - 1 / std::sqrt(48.0)).abs().max().item<double>(), 1e-15);
}

TEST(Rotation, SeedAndNameChooseTheDraw) {
  for (const RotationKind kind : {RotationKind::kHadamard, RotationKind::kOrthogonal}) {
    const at::Tensor q = random_rotation(24, kind, 7, "a");
    EXPECT_TRUE(at::equal(q, random_rotation(24, kind, 7, "a")));
    EXPECT_FALSE(at::equal(q, random_rotation(24, kind, 8, "a")));
    EXPECT_FALSE(at::equal(q, random_rotation(24, kind, 7, "b")));
  }
}

TEST(Rotation, UniformHasNoPreferredDirection) {
  // Entries of a uniform one have mean 0 and variance 1/n: 200 draws of 64 entries, 5 sigma.
  double sum = 0, squares = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const at::Tensor q = random_rotation(8, RotationKind::kOrthogonal, seed, "uniform");
    sum += q[0][0].item<double>();
    squares += q[0][0].square().item<double>();
  }
  EXPECT_NEAR(sum / 200, 0, 5 * std::sqrt(1.0 / 8 / 200));
  // Variance of an entry's square: 2 (n - 1) / (n² (n + 2)).
  EXPECT_NEAR(squares / 200, 1.0 / 8, 5 * std::sqrt(2.0 * 7 / (64 * 10) / 200));
}

TEST(Rotation, PrincipalDirectionsHoldTheMostEnergyFirst) {
  const at::Tensor moment = second_moment(random_inputs(3, 200, 24));
  const at::Tensor q = principal_rotation(moment);
  EXPECT_LT((at::mm(q.t(), q) - at::eye(24, at::kDouble)).abs().max().item<double>(), 1e-13);
  const at::Tensor turned = at::mm(at::mm(q.t(), moment), q);
  const double scale = turned.abs().max().item<double>();
  EXPECT_LT((turned - at::diag(turned.diagonal())).abs().max().item<double>(), 1e-13 * scale);
  const at::Tensor energy = turned.diagonal();
  EXPECT_TRUE(energy.slice(0, 0, 23).ge(energy.slice(0, 1)).all().item<bool>());
  // No 6 orthogonal directions hold more than the first 6 (Ky Fan 1949).
  const double first = energy.narrow(0, 0, 6).sum().item<double>();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const at::Tensor other =
        random_rotation(24, RotationKind::kOrthogonal, seed, "other").narrow(1, 0, 6);
    EXPECT_LT(at::mm(at::mm(other.t(), moment), other).trace().item<double>(), first);
  }
  const ThreadCount count(3);
  EXPECT_TRUE(at::equal(q, principal_rotation(moment)));
  EXPECT_THROW(principal_rotation(at::full({2, 2}, std::nan(""))), c10::Error);
  EXPECT_THROW(principal_rotation(at::ones({2, 3})), c10::Error);
}

TEST(Rotation, SameBitsAtAnyNumberOfThreads) {
  for (const RotationKind kind : {RotationKind::kHadamard, RotationKind::kOrthogonal}) {
    const at::Tensor q = random_rotation(300, kind, 7, "threads");
    const ThreadCount count(3);
    EXPECT_TRUE(at::equal(q, random_rotation(300, kind, 7, "threads")));
  }
}

}  // namespace
}  // namespace frugal::layerwise
