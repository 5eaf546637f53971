// A graph under construction: its nodes, its initializers, and which weight each initializer is.
// Internal to export.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "architecture/roles.h"
#include "artifact/onnx/onnx_graph.h"
#include "format/model_info.h"
#include "format/onnx.h"

namespace frugal::artifact {

inline constexpr const char* kContribDomain = "com.microsoft";

class GraphNodes {
 public:
  explicit GraphNodes(const format::ModelInfo& info);

  void node(std::string op, std::string domain, std::vector<std::string> inputs,
            std::vector<std::string> outputs, std::vector<format::OnnxAttribute> attributes = {});
  // Content that is streamed from the checkpoint.
  void initializer(std::string name, format::OnnxType type, std::vector<int64_t> dims,
                   std::string weight, OnnxContent content);
  void weight(const std::string& name, OnnxContent content);
  // The gain of a norm as the operators take it; its name.
  std::string gain(architecture::Role role, int64_t layer);
  // Content that is known now. Once per name.
  template <typename T>
  void constant(const std::string& name, std::vector<int64_t> dims, const std::vector<T>& values) {
    graph.model.initializers.push_back(
        format::onnx_constant(name, std::move(dims), std::span<const T>(values)));
  }

  // The constant 0 (int64), made where it is asked for first.
  std::string zero();

  std::string name_of(architecture::Role role, int64_t layer) const;
  bool has(const std::string& weight) const { return shapes_.contains(weight); }
  const std::vector<int64_t>& shape(const std::string& weight) const { return shapes_.at(weight); }
  const architecture::Layer& layer(int64_t index) const {
    return info.config.layers.at(static_cast<size_t>(index));
  }

  const format::ModelInfo& info;
  OnnxGraph graph;

 private:
  std::map<std::string, std::vector<int64_t>, std::less<>> shapes_;
  bool has_zero_ = false;
};

}  // namespace frugal::artifact
