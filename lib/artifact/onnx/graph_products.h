// Products with a model's matrices as ONNX nodes: float, by blocks of integers (ONNX Runtime's own
// operators, or DequantizeLinear before a standard one), or of integers with rounded inputs.
// Internal to export.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "artifact/onnx/graph_nodes.h"
#include "base/status.h"

namespace frugal::artifact {

class GraphProducts {
 public:
  GraphProducts(GraphNodes& to, const OnnxOptions& options) : to_(to), options_(options) {}

  // multiply() and the bias behind it, where the model has one.
  absl::Status linear(const std::string& input, architecture::Role matrix, int64_t layer,
                      const std::string& output);
  // output = input · Wᵀ. Errors: a quantized weight whose grid has no layout in the operators.
  absl::Status multiply(const std::string& input, const std::string& weight,
                        const std::string& output);
  // output = the rows of a weight that `ids` [B, T] names: GatherBlockQuantized with the
  // checkpoint's own integers of 4 or 8 bits, or Gather of floats; of standard operators Gather of
  // integers in bytes, as it takes no smaller ones.
  absl::Status gather(const std::string& ids, const std::string& weight, const std::string& output);
  // Whether gather() leaves a weight as integers, which multiply() takes, too.
  bool gathers_integers(const std::string& weight) const;

 private:
  absl::StatusOr<NBitsLayout> layout_of(const std::string& grid, int64_t columns) const;
  void multiply_blocks(const std::string& input, const std::string& weight,
                       const NBitsLayout& layout, const std::string& output);
  void gather_blocks(const std::string& ids, const std::string& weight, const NBitsLayout& layout,
                     const std::string& output);
  // The operators' inputs of a weight: codes [N, K / block, bytes of a block], scales, zero points.
  std::vector<std::string> nbits_inputs(const std::string& weight, const NBitsLayout& layout);
  void multiply_integers(const std::string& input, const std::string& weight,
                         const std::string& output);
  void round_tokens(const std::string& input);

  GraphNodes& to_;
  const OnnxOptions options_;
  std::set<std::string> rounded_;  // inputs that round_tokens has seen to
  std::set<std::string> packed_;   // weights that nbits_inputs has written
};

}  // namespace frugal::artifact
