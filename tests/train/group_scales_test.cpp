#include "train/group_scales.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "train/toy.h"

namespace frugal::train {
namespace {

constexpr int64_t kRows = 5, kColumns = 512;

const std::vector<std::string>& grids() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const grid::GridHelp& help : grid::grid_help())
      all.push_back(help.name.substr(0, help.name.find('[')));
    all.push_back("int4:g64:asym");
    return all;
  }();
  return names;
}

grid::QuantizedMatrix rounded(const std::string& name) {
  const at::Tensor weights = toy::random_tensor({kRows, kColumns}, "weights") + 0.3;
  auto grid = grid::find_grid(name, kColumns).value();
  return grid::round_to_nearest(grid, weights.const_data_ptr<float>(), kRows, kColumns, {}, true)
      .value();
}

std::vector<at::Tensor> defined_factors(GroupScales& scales) {
  std::vector<at::Tensor> all;
  const ScaleFactors& factors = scales.factors();
  for (const at::Tensor& factor :
       {factors.scale, factors.offset, factors.block_scale, factors.block_offset}) {
    if (factor.defined()) all.push_back(factor);
  }
  return all;
}

// What the factors stand for before rounding, fp64: a0 (1 + S)(1 + s) level + c0 (1 + Z)(1 + z); a
// zero point's offset follows its scale.
at::Tensor unrounded(GroupScales& scales) {
  const grid::QuantizedMatrix& m = scales.start();
  const grid::GridSpec& spec = m.grid->spec();
  const int64_t groups = m.columns / spec.group_columns;
  at::Tensor scale = at::empty({m.rows, groups}, at::kFloat), offset = at::empty_like(scale);
  for (int64_t row = 0; row < m.rows; ++row) {
    for (int64_t b = 0; b < m.blocks_per_row(); ++b) {
      const int64_t at = row * groups + b * spec.groups_per_block();
      m.grid->expand(m.block_parameters(row, b), scale.mutable_data_ptr<float>() + at,
                     offset.mutable_data_ptr<float>() + at);
    }
  }
  const auto by_group = [&](const at::Tensor& own, const at::Tensor& shared) {
    at::Tensor factor = at::ones({m.rows, groups}, at::kDouble);
    if (own.defined()) factor = factor * (own.to(at::kDouble) + 1);
    if (shared.defined()) {
      factor = factor * (shared.to(at::kDouble) + 1).repeat_interleave(spec.groups_per_block(), 1);
    }
    return factor;
  };
  const ScaleFactors& f = scales.factors();
  const at::Tensor a = by_group(f.scale, f.block_scale);
  const bool tied = spec.affine && !scales.trains_offsets();
  const at::Tensor c = tied ? a : by_group(f.offset, f.block_offset);
  at::Tensor level = at::empty({m.rows, m.columns}, at::kDouble);
  for (int64_t i = 0; i < level.numel(); ++i) {
    level.mutable_data_ptr<double>()[i] = spec.levels[m.codes[static_cast<size_t>(i)]];
  }
  const auto wide = [&](const at::Tensor& x) { return x.repeat_interleave(spec.group_columns, 1); };
  return wide(scale.to(at::kDouble) * a) * level + wide(offset.to(at::kDouble) * c);
}

class GroupScalesTest : public ::testing::TestWithParam<std::string> {
 protected:
  GroupScales scales_{rounded(GetParam()), {}};
  at::Tensor decoded() {
    at::Tensor weights = at::empty({kRows, kColumns}, at::kFloat);
    scales_.decode(weights);
    return weights;
  }
};

TEST_P(GroupScalesTest, ZeroFactorsAreTheStart) {
  const grid::QuantizedMatrix start = rounded(GetParam());
  EXPECT_EQ(scales_.snap().parameters, start.parameters);
  EXPECT_EQ(scales_.snap().codes, start.codes);
  EXPECT_EQ(grid::pack_matrix(scales_.snap()), grid::pack_matrix(start));
}

TEST_P(GroupScalesTest, SnappedIsNearTheWishAndKeepsCodes) {
  for (at::Tensor& factor : defined_factors(scales_)) {
    factor.copy_(toy::random_tensor(factor.sizes(), "factors", 0.05));
  }
  const grid::QuantizedMatrix& snapped = scales_.snap();
  EXPECT_EQ(snapped.codes, scales_.start().codes);
  const at::Tensor wish = unrounded(scales_), before = at::empty({kRows, kColumns}, at::kFloat);
  grid::decode_matrix(scales_.start(), before.mutable_data_ptr<float>());
  const auto distance = [&](const at::Tensor& x) {
    return (x.to(at::kDouble) - wish).norm().item<double>();
  };
  EXPECT_GT(distance(before), 0.0);
  // 5% moves against integer sub-scales: most of the way, where the integers are fine enough. Those
  // of q2_k go to 15, so that the largest moves in steps of 7% and smaller ones in wider steps.
  // Scales that are powers of two stay.
  if (GetParam() == "mxfp4") {
    EXPECT_EQ(distance(decoded()), distance(before));
    return;
  }
  EXPECT_LT(distance(decoded()), (GetParam() == "q2_k" ? 0.9 : 0.7) * distance(before));
}

TEST_P(GroupScalesTest, StoredBytesDecodeToWhatAForwardSees) {
  for (at::Tensor& factor : defined_factors(scales_)) factor.add_(0.02);
  const grid::QuantizedMatrix snapped = scales_.snap();
  const auto again =
      grid::unpack_matrix(snapped.grid, kRows, kColumns, grid::pack_matrix(snapped)).value();
  at::Tensor weights = at::empty({kRows, kColumns}, at::kFloat);
  grid::decode_matrix(again, weights.mutable_data_ptr<float>());
  EXPECT_TRUE(weights.equal(decoded()));
}

// d loss / d factor against central differences of the unrounded weights in fp64, where both are
// the same function: at the start, where rounding changes nothing.
TEST_P(GroupScalesTest, GradientsAgreeWithFiniteDifferences) {
  const at::Tensor direction = toy::random_tensor({kRows, kColumns}, "direction");
  const auto loss = [&] { return (unrounded(scales_) * direction).square().sum().item<double>(); };
  const GroupGradients leaves = scales_.leaves(at::kCPU);
  const at::Tensor weights = scales_.attach(leaves, decoded());
  std::vector<at::Tensor> inputs = {leaves.scale};
  if (leaves.offset.defined()) inputs.push_back(leaves.offset);
  const auto gradients = torch::autograd::grad({(weights * direction).square().sum()}, inputs);
  scales_.set_gradients({gradients[0], gradients.size() > 1 ? gradients[1] : at::Tensor()});
  for (at::Tensor& factor : defined_factors(scales_)) {
    const double scale = factor.grad().abs().max().item<double>();
    ASSERT_GT(scale, 0.0);
    for (int64_t i = 0; i < factor.numel(); i += std::max<int64_t>(1, factor.numel() / 7)) {
      float& x = factor.mutable_data_ptr<float>()[i];
      constexpr float kStep =
          0x1p-7f;  // exact in fp32; the loss is a parabola of each factor: differences are exact
      x = kStep;
      const double up = loss();
      x = -kStep;
      const double down = loss();
      x = 0;
      // fp32 sums of up to 512 terms on our side
      EXPECT_NEAR(factor.grad().view(-1)[i].item<double>(), (up - down) / (2 * kStep),
                  1e-4 * scale);
    }
  }
}

TEST_P(GroupScalesTest, FactorsStayInBounds) {
  for (at::Tensor& factor : defined_factors(scales_)) factor.fill_(5.0).select(0, 0).fill_(-3.0);
  scales_.clamp();
  for (const at::Tensor& factor : defined_factors(scales_)) {
    EXPECT_EQ(factor.min().item<float>(), -0.5f);
    EXPECT_EQ(factor.max().item<float>(), 1.0f);
  }
}

INSTANTIATE_TEST_SUITE_P(Grids, GroupScalesTest, ::testing::ValuesIn(grids()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

TEST(GroupScales, PartsCanBeLeftOut) {
  GroupScales coarse(rounded("q4_k"), {.offsets = false, .sub_scales = false});
  EXPECT_FALSE(coarse.factors().scale.defined());
  EXPECT_FALSE(coarse.factors().block_offset.defined());
  EXPECT_TRUE(coarse.factors().block_scale.defined());
  EXPECT_FALSE(coarse.leaves(at::kCPU).offset.defined());
}

TEST(GroupScales, AZeroMatrixStaysZero) {
  auto grid = grid::find_grid("q4_k", kColumns).value();
  const at::Tensor zeros = at::zeros({kRows, kColumns});
  GroupScales scales(
      grid::round_to_nearest(grid, zeros.const_data_ptr<float>(), kRows, kColumns, {}, true)
          .value(),
      {});
  for (at::Tensor& factor : defined_factors(scales)) factor.fill_(0.25);
  scales.snap();
  at::Tensor decoded = at::empty_like(zeros);
  scales.decode(decoded);
  EXPECT_TRUE(decoded.equal(zeros));
}

}  // namespace
}  // namespace frugal::train
