// Numbers of experts in config.json.
#include "architecture/families/experts.h"

#include <gmock/gmock.h>

#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using base::Json;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<Experts> read(const Json& json) {
  Experts experts;
  FRUGAL_RETURN_IF_ERROR(read_experts(json, "c", "num_experts", 8, 2, experts));
  return experts;
}

TEST(Experts, HaveDefaults) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Experts usual, read(Json::object()));
  EXPECT_EQ(usual.count, 8);
  EXPECT_EQ(usual.per_token, 2);
  FRUGAL_ASSERT_OK_AND_ASSIGN(const Experts given,
                              read({{"num_experts", 4}, {"num_experts_per_tok", 4}}));
  EXPECT_EQ(given.count, 4);
  EXPECT_EQ(given.per_token, 4);
}

TEST(Experts, CannotBeFewerThanATokenNeeds) {
  FRUGAL_EXPECT_ERROR(read({{"num_experts", 1}}), kInvalid,
                      "c: 'num_experts_per_tok' is 2, expected at most 'num_experts' 1");
  FRUGAL_EXPECT_ERROR(read({{"num_experts", 0}}), kInvalid, "'num_experts' is 0");
  FRUGAL_EXPECT_ERROR(read({{"num_experts", 1 << 20}}), kInvalid, "expected 1 to 4096");
}

TEST(Experts, BalanceHasAWeight) {
  ModelConfig config;
  FRUGAL_ASSERT_OK(read_router_loss(Json::object(), "c", 0.01, config));
  EXPECT_EQ(config.router_loss_weight, 0.01);
  FRUGAL_ASSERT_OK(read_router_loss({{"router_aux_loss_coef", 0.0}}, "c", 0.01, config));
  EXPECT_EQ(config.router_loss_weight, 0.0);
  FRUGAL_EXPECT_ERROR(read_router_loss({{"router_aux_loss_coef", -1.0}}, "c", 0.01, config),
                      kInvalid, "'router_aux_loss_coef' is -1, expected 0 to 1");
}

TEST(Experts, OfTheFirstLayerThatHasSomeAreWritten) {
  ModelConfig config;
  config.layers.resize(2);
  Json json = Json::object();
  write_experts(config, "num_experts", json);
  EXPECT_TRUE(json.empty());
  config.layers[1].experts = Experts{.count = 6, .per_token = 3};
  write_experts(config, "num_experts", json);
  EXPECT_EQ(json, Json({{"num_experts", 6}, {"num_experts_per_tok", 3}}));
}

}  // namespace
}  // namespace frugal::architecture
