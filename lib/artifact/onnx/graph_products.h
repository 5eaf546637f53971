// Products with a model's matrices as ONNX nodes: float, by blocks of integers, or of integers with
// rounded inputs. Internal to export.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "artifact/onnx/graph_nodes.h"
#include "base/status.h"

namespace frugal::artifact {

class GraphProducts {
 public:
  GraphProducts(GraphNodes& to, const OnnxOptions& options) : to_(to), options_(options) {}

  // multiply() and the bias behind it, where the model has one.
  absl::Status linear(const std::string& input, architecture::Role matrix, int64_t layer,
                      const std::string& output);
  // output = input · Wᵀ. Errors: a quantized weight whose grid has no MatMulNBits layout.
  absl::Status multiply(const std::string& input, const std::string& weight,
                        const std::string& output);

 private:
  void multiply_integers(const std::string& input, const std::string& weight,
                         const std::string& output);
  void round_tokens(const std::string& input);

  GraphNodes& to_;
  const OnnxOptions& options_;
  std::set<std::string> rounded_;  // inputs that round_tokens has seen to
};

}  // namespace frugal::artifact
