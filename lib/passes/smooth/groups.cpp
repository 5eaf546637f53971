// Tested by: tests/passes/smooth_test.cpp
#include "passes/smooth/groups.h"

#include <map>

#include "base/text.h"
#include "model/architecture.h"

namespace frugal::passes {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>, std::less<>>;

absl::Status check_no_biases(const Shapes& shapes, const std::string& architecture) {
  for (const auto& [name, shape] : shapes) {
    if (!name.ends_with(".bias")) continue;
    return base::unimplemented("smooth: ", architecture, " has '", name,
                               "', and channel scales are not merged into biases");
  }
  return absl::OkStatus();
}

absl::StatusOr<ScaleGroup> make_group(const format::ModelConfig& config, const model::Stage& stage,
                                      const Shapes& shapes) {
  ScaleGroup group{.stage = stage.name, .matrices = stage.matrices, .source = stage.input_scale};
  const auto source = shapes.find(model::weight_name(0, stage.input_scale));
  if (stage.input_scale.empty() || source == shapes.end()) {
    return base::unimplemented("smooth: ", config.architecture, " has no weight before stage ",
                               stage.name, " into which channel scales could be merged");
  }
  group.columns = shapes.at(model::weight_name(0, stage.matrices.front())).back();
  const int64_t rows = source->second.front();
  if (rows == group.columns) return group;
  group.sharing = {.copies = config.head_count / config.key_value_head_count,
                   .size = config.head_size};
  if (rows * group.sharing.copies != group.columns) {
    return base::internal(stage.input_scale, " has ", rows, " rows, stage ", stage.name, " ",
                          group.columns, " inputs");
  }
  return group;
}

}  // namespace

absl::StatusOr<std::vector<ScaleGroup>> scale_groups(const format::ModelConfig& config) {
  Shapes shapes;
  for (const format::ExpectedTensor& tensor : format::expected_tensors(config))
    shapes.emplace(tensor.name, tensor.shape);
  FRUGAL_RETURN_IF_ERROR(check_no_biases(shapes, config.architecture));
  FRUGAL_ASSIGN_OR_RETURN(const std::vector<model::Stage> stages, model::stages(config));
  std::vector<ScaleGroup> groups;
  for (const model::Stage& stage : stages) {
    FRUGAL_ASSIGN_OR_RETURN(ScaleGroup group, make_group(config, stage, shapes));
    groups.push_back(std::move(group));
  }
  return groups;
}

bool makes_scores(std::string_view matrix) {
  return matrix.ends_with("q_proj.weight") || matrix.ends_with("k_proj.weight");
}

}  // namespace frugal::passes
