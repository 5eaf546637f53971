#include "artifact/onnx/graph_nodes.h"

#include <utility>

#include "architecture/tensors.h"

namespace frugal::artifact {

using architecture::Role;
using format::OnnxType;

GraphNodes::GraphNodes(const format::ModelInfo& model) : info(model) {
  for (const architecture::Tensor& tensor : architecture::tensors(info.config))
    shapes_[tensor.name] = tensor.shape;
}

void GraphNodes::node(std::string op, std::string domain, std::vector<std::string> inputs,
                      std::vector<std::string> outputs,
                      std::vector<format::OnnxAttribute> attributes) {
  graph.model.nodes.push_back({std::move(op), std::move(domain), std::move(inputs),
                               std::move(outputs), std::move(attributes), ""});
}

void GraphNodes::initializer(std::string name, OnnxType type, std::vector<int64_t> dims,
                             std::string weight, OnnxContent content) {
  graph.model.initializers.push_back({name, type, std::move(dims), std::nullopt});
  graph.sources.push_back({std::move(name), std::move(weight), content});
}

void GraphNodes::weight(const std::string& name, OnnxContent content) {
  initializer(name, OnnxType::kFloat, shape(name), name, content);
}

std::string GraphNodes::gain(Role role, int64_t layer) {
  std::string name = name_of(role, layer);
  weight(name, OnnxContent::kGains);
  graph.sources.back().offset = architecture::stored_offset(info.config, role, layer);
  return name;
}

std::string GraphNodes::zero() {
  if (!has_zero_) constant<int64_t>("zero", {}, {0});
  has_zero_ = true;
  return "zero";
}

std::string GraphNodes::name_of(Role role, int64_t layer) const {
  return architecture::tensor_name(info.config, role, layer);
}

}  // namespace frugal::artifact
