// What Gemma 2 and Gemma 3 share.
#include "architecture/families/gemma.h"

#include <gmock/gmock.h>

#include <cmath>

#include "architecture/tiny_config.h"

namespace frugal::architecture {
namespace {

using base::Json;

constexpr Defaults kDefaults = {.activation = "gelu_pytorch_tanh"};

absl::StatusOr<ModelConfig> describe(const Json& changes) {
  Json json = test::tiny_config_json();
  json.update(changes);
  ModelConfig config;
  FRUGAL_RETURN_IF_ERROR(describe_gemma(json, "c", kDefaults, config));
  return config;
}

TEST(Gemma, HasFourOnePlusNormsALayer) {
  FRUGAL_ASSERT_OK_AND_ASSIGN(const ModelConfig config, describe({{"query_pre_attn_scalar", 64}}));
  EXPECT_TRUE(config.final_norm.one_plus);
  EXPECT_DOUBLE_EQ(config.embedding_scale, std::sqrt(32.0));
  for (const Layer& layer : config.layers) {
    for (const auto& norm : {layer.before_attention, layer.after_attention,
                             layer.before_feed_forward, layer.after_feed_forward}) {
      EXPECT_EQ(norm, config.final_norm);
    }
    EXPECT_EQ(layer.attention.score_scale, 0.125);
    EXPECT_FALSE(layer.attention.window.has_value());  // the families' own
  }
}

TEST(Gemma, RefusesToLookAhead) {
  FRUGAL_EXPECT_ERROR(describe({{"use_bidirectional_attention", true}}),
                      absl::StatusCode::kUnimplemented, "'use_bidirectional_attention' is true");
}

TEST(Gemma, NamesItsNorms) {
  EXPECT_EQ(gemma_names().size(), 3u);
  for (const RoleName& entry : gemma_names()) EXPECT_TRUE(is_norm(entry.role));
}

}  // namespace
}  // namespace frugal::architecture
