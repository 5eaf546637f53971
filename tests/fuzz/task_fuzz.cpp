// Any text as a task file: read, or refused with a message; and its templates and patterns on a
// document within their bounds.
#include <cstdlib>

#include "base/text.h"
#include "tasks/field.h"
#include "tasks/metrics.h"
#include "tasks/task_file.h"

namespace {

using namespace frugal;

const base::Json& document() {
  static const auto* made = new base::Json{
      {"question", "Hé, 日本? "}, {"choices", {"a", "it's"}}, {"answer", 1}, {"none", nullptr}};
  return *made;
}

void run_fields(const tasks::TaskConfig& task) {
  const tasks::Columns columns = {"question", "choices", "answer", "none"};
  for (const tasks::Field* value : {&task.text, &task.target, &task.choice, &task.prefix}) {
    const auto field = tasks::DocField::make(*value, "field");
    if (!field.ok() || !field->is_given()) continue;
    const auto text = field->text(document(), columns);
    if (text.ok() && !base::is_valid_utf8(*text)) std::abort();
    (void)field->target(document(), columns, true);
    const auto choices = field->choices(document(), columns);
    if (choices.ok() && choices->empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // The file includes itself, and another that is the same text without its first line.
  const auto task = tasks::read_task(
      "t.yaml", [&](const std::filesystem::path& path) -> absl::StatusOr<std::string> {
        if (path == "t.yaml") return text;
        return text.substr(std::min(text.size(), text.find('\n')));
      });
  if (!task.ok()) return 0;
  if (task->name.empty() || task->evaluated_split().empty() || task->metrics.empty()) std::abort();
  run_fields(*task);
  if (task->type != tasks::OutputType::kGenerateUntil) return 0;
  tasks::Question question;
  question.references = {"3,000", "#### -3."};
  const tasks::Answer answer{
      .log_likelihoods = {}, .greedy = {}, .text = "3*1000=3,000\n#### 3,000."};
  (void)tasks::score_answers(*task, std::span(&question, 1), std::span(&answer, 1));
  return 0;
}
