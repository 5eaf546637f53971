#include "format/tensor_listing.h"

#include <gtest/gtest.h>

namespace frugal::format {
namespace {

TEST(TensorListing, SumsByType) {
  TensorListing listing;
  listing.add("a\xff", {2, 64}, "q4_0", 128, 72);
  listing.add("b", {1, 64}, "q4_0", 64, 36);
  listing.add("c", {4}, "F32", 4, 16);
  const base::Json json = std::move(listing).describe("gguf", "x.gguf", "llama");
  EXPECT_EQ(json["kind"], "gguf");
  EXPECT_EQ(json["path"], "x.gguf");
  EXPECT_EQ(json["architecture"], "llama");
  EXPECT_EQ(json["parameters"], 196);
  EXPECT_EQ(json["weight_bytes"], 124);
  EXPECT_EQ(json["bits_per_weight"], 8.0 * 124 / 196);
  EXPECT_EQ(json["types"]["q4_0"],
            base::Json({{"tensors", 2}, {"parameters", 192}, {"bytes", 108}}));
  EXPECT_EQ(json["tensors"][0]["name"], "a\\xff");
  EXPECT_EQ(json["tensors"][2]["shape"], base::Json({4}));
  EXPECT_EQ(json["tensors"].size(), 3u);
}

TEST(TensorListing, NoWeightsHaveNoBits) {
  const base::Json json = TensorListing().describe("onnx", "m", nullptr);
  EXPECT_TRUE(json["bits_per_weight"].is_null());
  EXPECT_TRUE(json["architecture"].is_null());
  EXPECT_EQ(json["tensors"], base::Json::array());
}

}  // namespace
}  // namespace frugal::format
