// The doc_to_* fields of a task, evaluated on documents: a column by its name, a Jinja template
// (StrictUndefined, newlines kept, as lm-evaluation-harness sets it), a number or a list.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "chat/template.h"
#include "tasks/documents.h"
#include "tasks/task_file.h"

namespace frugal::tasks {

class DocField {
 public:
  // `name` stands in errors. Errors: those of a template.
  static absl::StatusOr<DocField> make(const Field& field, std::string_view name);

  // A text. Errors: a column that holds none, and what the template refuses.
  absl::StatusOr<std::string> text(const base::Json& document, const Columns& columns) const;
  // A text, the number of a choice, or a list of either. `numbered`: the task has choices, so a
  // text of digits is a number.
  absl::StatusOr<base::Json> target(const base::Json& document, const Columns& columns,
                                    bool numbered) const;
  // Texts. Errors: a template that does not print a list.
  absl::StatusOr<std::vector<std::string>> choices(const base::Json& document,
                                                   const Columns& columns) const;
  bool is_given() const { return !field_.is_null(); }

 private:
  // What is no template; null: a template is to be rendered.
  const base::Json* value(const base::Json& document, const Columns& columns) const;
  absl::StatusOr<std::string> render(const base::Json& document) const;

  std::string name_;
  Field field_;
  std::optional<chat::Template> template_;
};

// str(value) of what a document holds.
std::string python_text(const base::Json& value);

}  // namespace frugal::tasks
