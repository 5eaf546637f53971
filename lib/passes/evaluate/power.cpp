// Tested by: tests/passes/evaluate_test.cpp
#include "passes/evaluate/power.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_format.h"
#include "passes/common/text_checks.h"
#include "tasks/documents.h"

namespace frugal::passes {
namespace {

constexpr int64_t kSmallestSample = 30;     // below it no margin is proved (evaluate/paired.h)
constexpr double kUsualDiscordance = 0.10;  // answers that 4 bits change in small models

int64_t limited(int64_t items, int64_t limit) { return limit > 0 ? std::min(items, limit) : items; }

std::optional<int64_t> count_questions(const EvaluateOptions& options,
                                       const text::DataSource& source) {
  const auto task = tasks::read_task(source.task_file);
  if (!task.ok()) return std::nullopt;
  const auto documents = tasks::load_documents(*task, task->evaluated_split(), source.folder);
  if (!documents.ok()) return std::nullopt;
  return limited(limited(static_cast<int64_t>(documents->rows.size()), source.limit),
                 options.limit);
}

std::optional<int64_t> count_examples(const EvaluateOptions& options, text::DataSource source,
                                      bool labels, const pass::ModelInfo& model) {
  if (options.limit > 0)
    source.limit = source.limit > 0 ? std::min(source.limit, options.limit) : options.limit;
  const auto tokenizer = planned_tokenizer(model, "evaluate");
  const bool known = tokenizer.ok() && *tokenizer != nullptr;
  if (source.chat && !known) return std::nullopt;
  const auto examples =
      source.chat ? text::load_examples(source, **tokenizer) : text::load_examples(source);
  if (!examples.ok()) return std::nullopt;
  return std::count_if(examples->begin(), examples->end(), [&](const text::Example& example) {
    return labels == !example.label_texts.empty();
  });
}

std::optional<int64_t> count_items(const EvaluateOptions& options, std::string_view metric,
                                   const pass::CheckContext& context,
                                   const pass::ModelInfo& model) {
  if (metric.ends_with("perplexity")) {
    if (options.windows == 0) return std::nullopt;
    return options.windows;
  }
  const size_t slash = metric.rfind('/');
  for (const pass::DataReference& task : options.tasks) {
    if (slash == std::string_view::npos || task.name != metric.substr(0, slash)) continue;
    auto source = context.data(task);
    if (!source.ok()) return std::nullopt;
    if (!source->task_file.empty()) return count_questions(options, *source);
    return count_examples(options, *std::move(source), metric.ends_with("/accuracy"), model);
  }
  return std::nullopt;
}

// A mean of right/wrong answers, of which it is known how far they can vary.
bool is_share_of_right(std::string_view metric) {
  const std::string_view last = metric.substr(metric.rfind('/') + 1);
  return last.starts_with("acc") || last.starts_with("exact_match");
}

}  // namespace

void say_power(const EvaluateOptions& options, const EvaluateClaim& claim,
               pass::CheckContext& context, const pass::ModelInfo& model) {
  const std::optional<int64_t> items = count_items(options, claim.metric, context, model);
  if (!items) return;
  const double margin = claim.margin.value;
  const std::string rests =
      base::str_cat("the claim about ", claim.metric, " (margin ", margin,
                    claim.margin.kind == evaluate::MarginKind::kRelative ? ", relative" : "",
                    ") rests on ", *items, " items");
  if (*items < kSmallestSample) {
    context.warn(base::str_cat(rests, ", and fewer than ", kSmallestSample, " prove no margin"));
    return;
  }
  if (!is_share_of_right(claim.metric)) return;
  // A relative margin is a share of a value below 1, so these are bounds of it.
  const double most = evaluate::provable_discordance(*items, margin);
  if (most < 0) {
    context.warn(absl::StrFormat(
        "%s: even if no answer changes they prove no margin below %.4f; at least %d are needed",
        rests, evaluate::smallest_margin(*items, 0.0), evaluate::items_needed(margin, 0.0)));
    return;
  }
  const std::string text = absl::StrFormat(
      "%s: they prove it with 80%% power if at most %.1f%% of the answers change and nothing is "
      "lost",
      rests, 100 * most);
  if (most >= kUsualDiscordance) return context.note(text);
  context.warn(absl::StrFormat("%s; if 10%% change, they prove %.4f, and %.4g needs %d items", text,
                               evaluate::smallest_margin(*items, kUsualDiscordance), margin,
                               evaluate::items_needed(margin, kUsualDiscordance)));
}

}  // namespace frugal::passes
