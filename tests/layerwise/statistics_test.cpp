#include "layerwise/walk/statistics.h"

#include <cmath>
#include <limits>

#include "support/random_tensors.h"
#include "support/shared_data.h"
#include "tensor/aten.h"

namespace frugal::layerwise {
namespace {

using namespace frugal::test;

std::vector<at::Tensor> cut(const at::Tensor& x, int64_t size) {
  std::vector<at::Tensor> chunks;
  for (int64_t begin = 0; begin < x.size(0); begin += size) {
    chunks.push_back(x.narrow(0, begin, std::min(size, x.size(0) - begin)));
  }
  return chunks;
}

TEST(Statistics, EqualTheirDefinitions) {
  const at::Tensor x =
      random_inputs(1, 230, 70);  // the last chunk is short, the last tile of H too
  FRUGAL_ASSERT_OK_AND_ASSIGN(const InputStatistics s,
                              gather_statistics(cut(x, 64), Needs::kHessian, "here"));
  EXPECT_EQ(s.tokens, 230);
  const at::Tensor h = second_moment(x);
  // fp32 sums of 64 products; errors stay below 64 * 2^-24 of the largest diagonal element.
  const double tolerance = 64 * 6e-8 * h.max().item<double>();
  EXPECT_LT((s.hessian - h).abs().max().item<double>(), tolerance);
  EXPECT_TRUE(at::equal(s.hessian, s.hessian.t()));
  EXPECT_LT((s.mean_square - h.diagonal()).abs().max().item<double>(), tolerance);
  EXPECT_LT((s.mean_absolute - x.abs().to(at::kDouble).mean(0)).abs().max().item<double>(),
            tolerance);
  EXPECT_TRUE(at::equal(s.maximum_absolute, x.abs().amax(0).to(at::kDouble)));
}

TEST(Statistics, RoundedMomentsMoveTheDiagonalOnly) {
  const at::Tensor x = random_inputs(6, 3000, 70);
  FRUGAL_ASSERT_OK_AND_ASSIGN(
      const InputStatistics s,
      gather_statistics(cut(x, 1000), Needs::kHessian, "here", model::Precision::kRounded));
  const at::Tensor h = second_moment(x);
  const at::Tensor scale = h.diagonal().sqrt();
  const at::Tensor error = (s.hessian - h).abs() / at::outer(scale, scale);
  // A factor's rounding error is at most 2⁻⁹ of it, its root mean square over a binade 2⁻⁹ / √3 at
  // the most. Independent from token to token, 3000 of them leave √(2 / 3000) of that beside the
  // diagonal (six standard deviations allowed), and 2⁻¹⁸ / 3 on it besides twice as much noise.
  const double noise = 6 * std::sqrt(2.0 / 3000) * 0x1p-9 / std::sqrt(3.0);
  EXPECT_LT(error.max().item<double>(), 2 * noise + 0x1p-18 / 3);
  EXPECT_TRUE(at::equal(s.hessian, s.hessian.t()));
  // Sums of single columns are not rounded.
  EXPECT_LT(((s.mean_square - h.diagonal()) / h.diagonal()).abs().max().item<double>(), 1e-6);
}

TEST(Statistics, OnlyWhatIsNeeded) {
  const std::vector<at::Tensor> chunks = cut(random_inputs(2, 10, 8), 10);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const InputStatistics moments,
                              gather_statistics(chunks, Needs::kMoments, "here"));
  EXPECT_FALSE(moments.hessian.defined());
  EXPECT_TRUE(moments.mean_square.defined());
  FRUGAL_ASSERT_OK_AND_ASSIGN(const InputStatistics none,
                              gather_statistics(chunks, Needs::kNothing, "here"));
  EXPECT_FALSE(none.mean_square.defined());
  EXPECT_EQ(none.tokens, 10);
}

TEST(Statistics, AChunkThatNoTokenReachesAddsNothing) {
  const at::Tensor x = random_matrix(1, "x", 20, 16), none = at::empty({0, 16});
  for (const Needs needs : {Needs::kMoments, Needs::kHessian}) {
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto expected, gather_statistics({x}, needs, "x"));
    FRUGAL_ASSERT_OK_AND_ASSIGN(const auto found, gather_statistics({none, x, none}, needs, "x"));
    EXPECT_EQ(found.tokens, 20);
    EXPECT_TRUE(at::equal(found.mean_square, expected.mean_square));
    EXPECT_TRUE(at::equal(found.maximum_absolute, expected.maximum_absolute));
    if (needs == Needs::kHessian) EXPECT_TRUE(at::equal(found.hessian, expected.hessian));
  }
}

TEST(Statistics, SameBitsAtAnyThreadCount) {
  const std::vector<at::Tensor> chunks = cut(random_inputs(3, 500, 150), 128);
  at::Tensor hessian, square;
  for (const int threads : {1, 2, 3}) {
    const ThreadCount count(threads);
    FRUGAL_ASSERT_OK_AND_ASSIGN(const InputStatistics s,
                                gather_statistics(chunks, Needs::kHessian, "here"));
    if (hessian.defined()) {
      EXPECT_TRUE(at::equal(s.hessian, hessian));
      EXPECT_TRUE(at::equal(s.mean_square, square));
    }
    hessian = s.hessian;
    square = s.mean_square;
  }
}

TEST(Statistics, NanAndInfinityAreNamed) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    at::Tensor x = random_inputs(4, 40, 6);
    x[33][4] = bad;
    FRUGAL_EXPECT_ERROR(gather_statistics(cut(x, 16), Needs::kMoments, "layer 3, mlp_out"),
                        absl::StatusCode::kFailedPrecondition, "layer 3, mlp_out");
    FRUGAL_EXPECT_ERROR(gather_statistics(cut(x, 16), Needs::kMoments, "here"),
                        absl::StatusCode::kFailedPrecondition, "column 4");
  }
}

TEST(Statistics, DriftIsTheCrossMoment) {
  const at::Tensor a = random_matrix(5, "a", 50, 3), b = random_matrix(5, "b", 50, 3),
                   x = random_matrix(5, "x", 50, 7);
  const at::Tensor drift = gather_drift(cut(a, 20), cut(b, 20), cut(x, 20));
  const at::Tensor expected = at::mm((a - b).to(at::kDouble).t(), x.to(at::kDouble)) / 50.0;
  EXPECT_LT((drift - expected).abs().max().item<double>(), 1e-5);
  EXPECT_EQ(gather_drift(cut(a, 20), cut(a, 20), cut(x, 20)).abs().max().item<double>(), 0);
}

}  // namespace
}  // namespace frugal::layerwise
