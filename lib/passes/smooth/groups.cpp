// Tested by: tests/passes/smooth_test.cpp
#include "passes/smooth/groups.h"

#include "architecture/stages.h"

namespace frugal::passes {
namespace {

absl::StatusOr<ScaleGroup> make_group(const architecture::ModelConfig& config,
                                      const architecture::Stage& stage) {
  const bool behind_activation = !config.layers.front().feed_forward.gated &&
                                 stage.matrices.front().role == architecture::Role::kDown;
  if (behind_activation) return ScaleGroup{.stage = stage.name, .left_alone = true, .matrices = {}};
  if (!stage.input_scale) {
    return base::unimplemented("smooth: ", config.architecture, " has no weight before stage ",
                               stage.name, " into which channel scales could be merged");
  }
  ScaleGroup group{.stage = stage.name, .matrices = {}, .source = stage.input_scale->role};
  for (const architecture::Tensor& matrix : stage.matrices) group.matrices.push_back(matrix.role);
  group.columns = stage.matrices.front().shape.back();
  const int64_t rows = stage.input_scale->shape.front();
  if (rows == group.columns) return group;
  const architecture::Attention& attention = config.layers.front().attention;
  group.sharing = {.copies = attention.heads / attention.key_value_heads,
                   .size = attention.head_size};
  if (rows * group.sharing.copies != group.columns) {
    return base::internal(stage.input_scale->name, " has ", rows, " rows, stage ", stage.name, " ",
                          group.columns, " inputs");
  }
  return group;
}

}  // namespace

absl::StatusOr<std::vector<ScaleGroup>> scale_groups(const architecture::ModelConfig& config) {
  std::vector<ScaleGroup> groups;
  for (const architecture::Stage& stage : architecture::stages(config, 0)) {
    FRUGAL_ASSIGN_OR_RETURN(ScaleGroup group, make_group(config, stage));
    groups.push_back(std::move(group));
  }
  return groups;
}

bool is_query_or_key(architecture::Role matrix) {
  return matrix == architecture::Role::kQuery || matrix == architecture::Role::kKey;
}

}  // namespace frugal::passes
