#include "model/attention.h"

#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "model/toy.h"

namespace frugal::model {
namespace {

at::Tensor random_tensor(at::IntArrayRef shape, std::string_view name) {
  base::RandomStream stream(5, name);
  at::Tensor values = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < values.numel(); ++i) {
    values.mutable_data_ptr<float>()[i] = static_cast<float>(stream.normal());
  }
  return values;
}

// The definition in fp64, head by head; `visible` bool [B, T, T_total].
at::Tensor by_definition(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                         const at::Tensor& visible) {
  const int64_t group = query.size(1) / key.size(1);
  std::vector<at::Tensor> heads;
  for (int64_t head = 0; head < query.size(1); ++head) {
    const at::Tensor q = query.select(1, head).to(at::kDouble);
    const at::Tensor k = key.select(1, head / group).to(at::kDouble);
    const at::Tensor v = value.select(1, head / group).to(at::kDouble);
    const at::Tensor scores =
        at::matmul(q, k.transpose(1, 2)) / std::sqrt(static_cast<double>(q.size(2)));
    heads.push_back(at::matmul(scores.masked_fill(~visible, -INFINITY).softmax(-1), v));
  }
  return at::stack(heads, 1);
}

at::Tensor causal(int64_t batch, int64_t queries, int64_t keys) {
  return at::ones({queries, keys}, at::kBool).tril(keys - queries).expand({batch, queries, keys});
}

struct Case {
  int64_t heads, groups, queries, keys;
};

class AttentionTest : public ::testing::TestWithParam<Case> {};

TEST_P(AttentionTest, EqualsTheDefinition) {
  const auto [heads, groups, queries, keys] = GetParam();
  const at::Tensor q = random_tensor({2, heads, queries, 16}, "q");
  const at::Tensor k = random_tensor({2, groups, keys, 16}, "k");
  const at::Tensor v = random_tensor({2, groups, keys, 16}, "v");
  const at::Tensor exact = by_definition(q, k, v, causal(2, queries, keys));
  // Averages of values below 5 with weights rounded a dozen times: 5 * 12 * 6e-8.
  EXPECT_LT(toy::largest_difference(grouped_query_attention(q, k, v, {}), exact), 1e-5);
}

TEST_P(AttentionTest, MasksRuleAlone) {
  const auto [heads, groups, queries, keys] = GetParam();
  const at::Tensor q = random_tensor({2, heads, queries, 16}, "q");
  const at::Tensor k = random_tensor({2, groups, keys, 16}, "k");
  const at::Tensor v = random_tensor({2, groups, keys, 16}, "v");
  at::Tensor visible = random_tensor({2, queries, keys}, "mask") > 0;
  visible.select(2, 0).fill_(true);
  EXPECT_LT(toy::largest_difference(grouped_query_attention(q, k, v, visible.unsqueeze(1)),
                                    by_definition(q, k, v, visible)),
            1e-5);
}

// Values and gradients within what rounding the factors to 8 bits explains (tests/kernels derives
// and holds the exact bounds; here it is the layout that could be wrong, which is off by far more).
TEST_P(AttentionTest, RoundedFactorsGiveNearlyTheSame) {
  const auto [heads, groups, queries, keys] = GetParam();
  const auto leaf = [](const at::Tensor& x) {
    return x.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_();
  };
  const at::Tensor q = leaf(random_tensor({2, heads, queries, 16}, "q"));
  const at::Tensor k = leaf(random_tensor({2, groups, keys, 16}, "k"));
  const at::Tensor v = leaf(random_tensor({2, groups, keys, 16}, "v"));
  const at::Tensor upstream = random_tensor({2, heads, queries, 16}, "upstream");
  const auto relative = [](const at::Tensor& found, const at::Tensor& exact) {
    return ((found - exact).norm() / exact.norm().clamp_min(1e-3)).item<double>();
  };
  const at::Tensor rounded = rounded_causal_attention(q, k, v);
  const at::Tensor exact = grouped_query_attention(q, k, v, {});
  EXPECT_LT(relative(rounded, exact), 8 * 0x1p-9);
  const auto found = torch::autograd::grad({rounded}, {q, k, v}, {upstream});
  const auto expected = torch::autograd::grad({exact}, {q, k, v}, {upstream});
  for (size_t i = 0; i < 3; ++i)
    EXPECT_LT(relative(found[i], expected[i]), 8 * 0x1p-9) << "gradient " << i;
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionTest,
                         ::testing::Values(Case{4, 4, 9, 9}, Case{4, 2, 9, 9}, Case{8, 1, 33, 33},
                                           Case{4, 2, 1, 12}, Case{4, 4, 1, 1}, Case{6, 2, 5, 12}));

// Gemma 2's bound on scores, by its definition in fp64: in prefill, behind a cache, with a mask.
TEST(Attention, CappedScoresEqualTheDefinition) {
  constexpr double kCap = 1.5;
  const at::Tensor key = random_tensor({2, 2, 9, 8}, "key"),
                   value = random_tensor({2, 2, 9, 8}, "value");
  for (const int64_t queries : {9, 4, 1}) {
    const at::Tensor query = random_tensor({2, 4, queries, 8}, "query") * 3;
    at::Tensor mask = causal(2, queries, 9).unsqueeze(1).clone();
    for (const bool masked : {false, true}) {
      if (masked) mask.select(3, 1).fill_(false);  // key 0 stays for all
      const at::Tensor found =
          capped_attention(query, key, value, masked ? mask : at::Tensor(), kCap);
      std::vector<at::Tensor> heads;
      for (int64_t head = 0; head < 4; ++head) {
        const at::Tensor q = query.select(1, head).to(at::kDouble),
                         k = key.select(1, head / 2).to(at::kDouble);
        const at::Tensor scores = at::matmul(q, k.transpose(1, 2)) / std::sqrt(8.0);
        const at::Tensor bounded = (scores / kCap).tanh() * kCap;
        heads.push_back(at::matmul(bounded.masked_fill(~mask.squeeze(1), -INFINITY).softmax(-1),
                                   value.select(1, head / 2).to(at::kDouble)));
      }
      // As the other attentions here: sums of 9 products of size 3 in fp32.
      EXPECT_LT(toy::largest_difference(found, at::stack(heads, 1)), 1e-5) << queries << masked;
    }
  }
}

}  // namespace
}  // namespace frugal::model
