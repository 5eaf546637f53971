// A small ONNX graph for the tests of this room: y = reshape(x) · weight + bias + 0.5 · codes.
#pragma once

#include <filesystem>
#include <vector>

#include "format/onnx.h"

namespace frugal::format::test {

inline OnnxModel tiny_onnx() {
  OnnxModel model;
  model.opsets = {{"", 21}, {"com.microsoft", 1}};
  model.producer_version = "test";
  model.metadata = {{"frugal.architecture", "LlamaForCausalLM"}, {"note", "grüße"}};
  model.inputs = {{"x", OnnxType::kFloat, {"batch_size", "sequence_length", int64_t{32}}}};
  model.outputs = {{"y", OnnxType::kFloat, {"tokens", int64_t{64}}}};
  const std::vector<int64_t> shape = {-1, 64};
  const std::vector<int64_t> flat = {-1, 32};
  const std::vector<float> scale = {0.5f};
  model.initializers = {{"weight", OnnxType::kFloat, {32, 64}, {}},
                        {"bias", OnnxType::kFloat, {64}, {}},
                        {"codes", OnnxType::kUint4, {1, 64}, {}},
                        onnx_constant("shape", {2}, std::span<const int64_t>(shape)),
                        onnx_constant("flat", {2}, std::span<const int64_t>(flat)),
                        onnx_constant("scale", {}, std::span<const float>(scale))};
  model.nodes = {{"Reshape", "", {"x", "flat"}, {"rows"}, {{"allowzero", int64_t{0}}}, ""},
                 {"MatMul", "", {"rows", "weight"}, {"product"}, {}, "the_product"},
                 {"Add", "", {"product", "bias"}, {"biased"}, {}, ""},
                 {"DequantizeLinear", "", {"codes", "scale"}, {"levels"}, {}, ""},
                 {"Add", "", {"biased", "levels"}, {"sum"}, {}, ""},
                 {"Reshape", "", {"sum", "shape"}, {"y"}, {}, ""}};
  return model;
}

inline absl::Status write_tiny_onnx(const std::filesystem::path& path) {
  FRUGAL_ASSIGN_OR_RETURN(OnnxWriter writer, OnnxWriter::create(path, tiny_onnx()));
  std::vector<float> weight(32 * 64);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<float>(i) / 8;
  std::vector<float> bias(64);
  for (size_t i = 0; i < bias.size(); ++i) bias[i] = 0.5f * static_cast<float>(i);
  std::vector<std::byte> codes(32);
  for (size_t i = 0; i < codes.size(); ++i)
    codes[i] = std::byte((2 * i % 16) | ((2 * i + 1) % 16) << 4);
  const auto bytes = std::as_bytes(std::span(weight));
  FRUGAL_RETURN_IF_ERROR(writer.write("weight", bytes.first(1000)));
  FRUGAL_RETURN_IF_ERROR(writer.write("weight", bytes.subspan(1000)));
  FRUGAL_RETURN_IF_ERROR(writer.write("bias", std::as_bytes(std::span(bias))));
  FRUGAL_RETURN_IF_ERROR(writer.write("codes", codes));
  return writer.commit();
}

}  // namespace frugal::format::test
