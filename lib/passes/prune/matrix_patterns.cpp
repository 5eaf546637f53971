#include "passes/prune/matrix_patterns.h"

#include <string_view>
#include <utility>

#include "base/text.h"

namespace frugal::passes {
namespace {

struct Override {
  std::string glob;
  layerwise::Pattern pattern;
  bool used = false;
};

absl::StatusOr<std::vector<Override>> parse_overrides(const PruneOptions& options) {
  std::vector<Override> result;
  for (const auto& [glob, text] : options.overrides.entries) {
    const auto pattern = layerwise::parse_pattern(text);
    if (!pattern.ok())
      return base::annotate(pattern.status(), base::str_cat("prune: overrides: ", glob));
    result.push_back({std::string(base::trim(glob)), *pattern});
  }
  return result;
}

absl::Status check_used(const std::vector<Override>& entries,
                        const std::vector<MatrixPattern>& matrices) {
  std::string unused;
  for (const Override& entry : entries) {
    if (entry.used) continue;
    std::vector<std::string> names;
    for (const MatrixPattern& matrix : matrices) names.push_back(matrix.name);
    const auto near = base::nearest(entry.glob, names);
    unused += base::str_cat(unused.empty() ? "" : "; ", "'", entry.glob, "'",
                            near ? base::str_cat(" (did you mean '", *near, "'?)") : std::string());
  }
  if (unused.empty()) return absl::OkStatus();
  return base::invalid_argument("prune: overrides: no decoder matrix matches ", unused,
                                "; names look like '", matrices.front().name, "' and '",
                                matrices.back().name, "'");
}

}  // namespace

absl::StatusOr<std::vector<MatrixPattern>> matrix_patterns(
    const PruneOptions& options, const architecture::ModelConfig& config) {
  FRUGAL_ASSIGN_OR_RETURN(const layerwise::Pattern general,
                          layerwise::parse_pattern(options.pattern));
  FRUGAL_ASSIGN_OR_RETURN(std::vector<Override> entries, parse_overrides(options));
  std::vector<MatrixPattern> result;
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    const std::vector<architecture::Stage> stages = architecture::stages(config, layer);
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      for (const architecture::Tensor& matrix : stages[stage].matrices) {
        const std::string& name = matrix.name;
        MatrixPattern entry{name, {layer, stage, stages[stage].expert}, matrix.shape, general};
        for (Override& other : entries) {
          if (!base::glob_match(other.glob, name)) continue;
          entry.pattern = other.pattern;
          other.used = true;
        }
        FRUGAL_RETURN_IF_ERROR(
            layerwise::check_pattern(entry.pattern, entry.shape.front(), entry.shape.back(), name));
        result.push_back(std::move(entry));
      }
    }
  }
  FRUGAL_RETURN_IF_ERROR(check_used(entries, result));
  return result;
}

}  // namespace frugal::passes
