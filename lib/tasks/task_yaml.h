// YAML as task files are written in it: PyYAML's, which is YAML 1.1 ("yes" and "on" are truth
// values). Stricter than that: anchors, duplicate keys and tags are refused; `!function` with its
// remedy.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace frugal::tasks {

struct TaskYaml {
  base::Json value;  // a mapping
  // Where keys stand, by their path: "fewshot_config.sampler", "metric_list.0.metric".
  std::map<std::string, int, std::less<>> lines;
};

// `where` names the file in errors. Errors: "where:line:column: what", one line for each problem.
absl::StatusOr<TaskYaml> parse_task_yaml(std::string_view text, std::string_view where);

}  // namespace frugal::tasks
