// Task files in evaluate: what can be refused before any weight is read, and the numbers of a task.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "evaluate/classification.h"
#include "evaluate/task_items.h"
#include "pass/pass.h"
#include "passes/evaluate/options.h"
#include "tasks/inputs.h"
#include "tasks/metrics.h"

namespace frugal::passes {

// Errors: those of the task file, of its first question, and of a context too short for its
// answers.
absl::Status check_task_file(const EvaluateOptions& options, const text::DataSource& source,
                             const pass::ModelInfo& model, std::string_view name);

// What a margin can be tested for: <task>/acc, <task>/exact_match, ... Empty where the task file
// cannot be read.
std::vector<std::string> claimable_metrics(const text::DataSource& source, std::string_view name);

// Numbers of one task, named <task>/<metric>, <task>/answer_log_likelihood and, of choices,
// <task>/chance.
std::vector<pass::Statistic> statistics_of(std::string_view name, const tasks::TaskData& task,
                                           std::span<const tasks::Answer> answers,
                                           const tasks::TaskResult& result,
                                           base::RandomStream random);

// The same of the items of a task: value, interval and n of each metric whose value follows from
// them, and of answer_log_likelihood.
std::vector<pass::Statistic> statistics_of(std::string_view name,
                                           const evaluate::TaskScores& scores,
                                           const base::RandomStream& random);

// Labelled examples as the questions of a task with one metric, accuracy: for what is said of
// guessing below.
tasks::TaskData questions_of(const std::vector<evaluate::ClassificationItem>& items);
tasks::TaskResult accuracy_of(const std::vector<evaluate::ClassificationItem>& items);

// Marks the numbers of `name` that guessing would give, too.
void mark_floors(std::string_view name, const tasks::TaskData& task,
                 std::vector<pass::Statistic>& statistics);

// What must be said beside the numbers, whose marks say it, too: accuracies that guessing would
// give
// ("at chance"), or that are at the floor ("none right").
std::vector<std::string> warnings_of(std::string_view name, const tasks::TaskData& task,
                                     const tasks::TaskResult& result);

// A claim about a score that the reference owes to guessing is never kept: rows of such metrics say
// so under `floor` and in their verdict.
void doubt_floors(std::string_view name, const tasks::TaskData& task,
                  std::vector<base::Json>& rows);

}  // namespace frugal::passes
