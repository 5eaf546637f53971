#include <gtest/gtest.h>

#include <limits>

#include "format/onnx.h"
#include "format/onnx_check.h"
#include "format/tiny_model.h"
#include "format/tiny_onnx.h"

namespace frugal::format {
namespace {

TEST(OnnxGraph, SizesFollowTheElementType) {
  EXPECT_EQ(onnx_size_bytes(OnnxType::kFloat, {2, 3}).value(), 24);
  EXPECT_EQ(onnx_size_bytes(OnnxType::kFloat16, {}).value(), 2);
  EXPECT_EQ(onnx_size_bytes(OnnxType::kUint4, {3, 3}).value(), 5);
  EXPECT_EQ(onnx_size_bytes(OnnxType::kInt64, {0, 9}).value(), 0);
  FRUGAL_EXPECT_ERROR(onnx_size_bytes(OnnxType::kFloat, {-1}), absl::StatusCode::kInvalidArgument,
                      "-1");
  FRUGAL_EXPECT_ERROR(onnx_size_bytes(OnnxType::kFloat, {std::numeric_limits<int64_t>::max() / 16}),
                      absl::StatusCode::kInvalidArgument, "too many elements");
  FRUGAL_EXPECT_ERROR(onnx_size_bytes(static_cast<OnnxType>(99), {1}),
                      absl::StatusCode::kUnimplemented, "type 99");
  EXPECT_EQ(onnx_type_name(OnnxType::kInt4), "int4");
}

TEST(OnnxGraph, MistakesOfAnExporterAreNamed) {
  const auto with = [](const std::function<void(OnnxModel&)>& edit) {
    OnnxModel model = test::tiny_onnx();
    edit(model);
    return check_onnx_graph(model);
  };
  FRUGAL_EXPECT_OK(with([](OnnxModel&) {}));
  const auto internal = absl::StatusCode::kInternal;
  FRUGAL_EXPECT_ERROR(with([](auto& m) { m.nodes[1].inputs[0] = "later"; }), internal,
                      "node 'MatMul' reads 'later', which nothing before it defines");
  FRUGAL_EXPECT_ERROR(with([](auto& m) { std::swap(m.nodes[1], m.nodes[2]); }), internal,
                      "reads 'product'");
  FRUGAL_EXPECT_ERROR(with([](auto& m) { m.nodes[1].outputs[0] = "rows"; }), internal,
                      "'rows' has the name");
  FRUGAL_EXPECT_ERROR(with([](auto& m) { m.nodes[1].outputs.clear(); }), internal, "has no output");
  FRUGAL_EXPECT_ERROR(with([](auto& m) { m.nodes[1].domain = "ai.acme"; }), internal, "'ai.acme'");
  FRUGAL_EXPECT_ERROR(with([](auto& m) { m.outputs[0].name = "z"; }), internal,
                      "nothing computes the output 'z'");
  FRUGAL_EXPECT_ERROR(with([](auto& m) { m.initializers[1].name = "weight"; }), internal,
                      "'weight' has the name");
  FRUGAL_EXPECT_ERROR(with([](auto& m) { m.initializers[3].dims = {3}; }), internal,
                      "has 16 bytes");
  FRUGAL_EXPECT_OK(
      with([](auto& m) { m.nodes[1].inputs.push_back(""); }));  // an optional input left out
}

}  // namespace
}  // namespace frugal::format
