// Results in lm-evaluation-harness' own shape: the file of results ("acc,none", "acc_stderr,none")
// and the samples, one JSON object per document and filter, which its viewers read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tasks/metrics.h"
#include "tasks/questions.h"
#include "tasks/task_file.h"

namespace frugal::tasks {

struct EvaluatedTask {
  const TaskConfig* task = nullptr;
  std::span<const Question> questions;
  std::span<const Answer> answers;
  const TaskResult* result = nullptr;
  int64_t shots = 0;
};

// {"results": {task: {"acc,none": …}}, "configs", "versions", "n-shot", "higher_is_better",
// "n-samples"}.
base::Json results_json(std::span<const EvaluatedTask> tasks);

// As results_json's `log_samples` writes them to samples_<task>.jsonl.
std::vector<base::Json> sample_lines(const EvaluatedTask& evaluated);

}  // namespace frugal::tasks
