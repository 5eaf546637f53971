#include "artifact/gguf/file_type.h"

#include <gtest/gtest.h>

#include "artifact/gguf/mix.h"

namespace frugal::artifact {
namespace {

using architecture::Role;

constexpr int64_t kLayers = 16;
constexpr Role kMatrices[] = {Role::kQuery, Role::kKey, Role::kValue, Role::kAttentionOutput,
                              Role::kGate,  Role::kUp,  Role::kDown};

architecture::ModelConfig config() {
  architecture::Layer layer;
  layer.attention.heads = 8;
  layer.attention.key_value_heads = 4;
  const architecture::ModelConfig config = architecture::make_decoder(kLayers, layer);
  return config;
}

template <typename Grid>
uint32_t file_type(const Grid& grid) {
  std::vector<StoredMatrix> matrices;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    for (const Role name : kMatrices)
      matrices.push_back({layer, name, 256, 256 * 256, grid(layer, name)});
  }
  return gguf_file_type(matrices, config());
}

// enum llama_ftype of llama.h.
TEST(FileType, NamesTheMixThatWasAskedFor) {
  const std::vector<std::pair<std::string, uint32_t>> mixes = {
      {"q2_k_m", 10}, {"q3_k_s", 11}, {"q3_k_m", 12}, {"q3_k_l", 13}, {"q4_k_s", 14},
      {"q4_k_m", 15}, {"q5_k_s", 16}, {"q5_k_m", 17}, {"q2_k_s", 21}};
  EXPECT_EQ(mixes.size(), mix_help().size());
  for (const auto& [mix, number] : mixes) {
    const uint32_t found =
        file_type([&](int64_t layer, Role name) { return layer_grid(mix, name, layer, config()); });
    EXPECT_EQ(found, number) << mix;
  }
}

TEST(FileType, NamesNoMoreThanTheFileHolds) {
  const std::vector<std::pair<std::string, uint32_t>> types = {
      {"F32", 0},    {"F16", 1},    {"BF16", 32},  {"q4_0", 2},      {"q4_1", 3},
      {"q8_0", 7},   {"q5_0", 8},   {"q5_1", 9},   {"q2_k", 21},     {"q3_k", 11},
      {"q4_k", 14},  {"q5_k", 16},  {"q6_k", 18},  {"iq4_nl", 25},   {"iq4_xs", 30},
      {"tq2_0", 37}, {"mxfp4", 38}, {"nvfp4", 39}, {"nvfp4:e0", 39}, {"q2_0", 41}};
  for (const auto& [type, number] : types)
    EXPECT_EQ(file_type([&, &t = type](int64_t, Role) { return t; }), number) << type;
  // A mix with one matrix changed is none: most of it is named.
  EXPECT_EQ(file_type([&](int64_t layer, Role name) {
              return layer == 3 && name == Role::kUp ? std::string("q8_0")
                                                     : layer_grid("q4_k_m", name, layer, config());
            }),
            14u);
  EXPECT_EQ(gguf_file_type({}, config()), 0u);
}

}  // namespace
}  // namespace frugal::artifact
