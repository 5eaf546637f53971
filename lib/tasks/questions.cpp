#include "tasks/questions.h"

#include <algorithm>

#include "chat/unicode.h"
#include "tasks/documents.h"
#include "tasks/field.h"
#include "tasks/python_random.h"

namespace frugal::tasks {
namespace {

using base::Json;

constexpr uint64_t kFewShotSeed = 1234;  // lm-evaluation-harness' own default

bool starts_with_space(std::string_view text) {
  size_t at = 0;
  return !text.empty() && chat::is_space(chat::next_character(text, at));
}
bool ends_with_space(std::string_view text) {
  return chat::strip(text, chat::Sides::kRight).size() != text.size();
}
bool needs_delimiter(std::string_view before, std::string_view behind) {
  return !before.empty() && !ends_with_space(before) && !starts_with_space(behind);
}

// The number of a choice: what a document calls it, or where its text stands among the choices.
std::optional<int64_t> choice_of(const Json& target, const std::vector<std::string>& choices) {
  const auto count = static_cast<int64_t>(choices.size());
  if (target.is_boolean() || target.is_number_integer()) {
    const int64_t index = target.is_boolean() ? int64_t{target.get<bool>()} : target.get<int64_t>();
    return index >= 0 && index < count ? std::optional(index) : std::nullopt;
  }
  if (!target.is_string()) return std::nullopt;
  const auto found =
      std::find(choices.begin(), choices.end(), target.get_ref<const std::string&>());
  return found == choices.end() ? std::nullopt : std::optional<int64_t>(found - choices.begin());
}

// The fields that a question, or an example, is made of.
struct Fields {
  DocField text, target, choice, prefix;
  static absl::StatusOr<Fields> make(const Field& text, const Field& target, const Field& choice,
                                     const Field& prefix) {
    Fields fields;
    FRUGAL_ASSIGN_OR_RETURN(fields.text, DocField::make(text, "doc_to_text"));
    FRUGAL_ASSIGN_OR_RETURN(fields.target, DocField::make(target, "doc_to_target"));
    FRUGAL_ASSIGN_OR_RETURN(fields.choice, DocField::make(choice, "doc_to_choice"));
    FRUGAL_ASSIGN_OR_RETURN(fields.prefix, DocField::make(prefix, "gen_prefix"));
    return fields;
  }
};

class Builder {
 public:
  Builder(const TaskConfig& task, const QuestionOptions& options)
      : task_(task), options_(options), shots_(options.shots.value_or(task.fewshot.count)) {}

  absl::StatusOr<std::vector<Question>> run() {
    FRUGAL_ASSIGN_OR_RETURN(documents_,
                            load_documents(task_, task_.evaluated_split(), options_.folder));
    FRUGAL_ASSIGN_OR_RETURN(own_,
                            Fields::make(task_.text, task_.target, task_.choice, task_.prefix));
    const FewShotConfig& shots = task_.fewshot;
    FRUGAL_ASSIGN_OR_RETURN(examples_,
                            Fields::make(shots.text, shots.target, shots.choice, shots.prefix));
    FRUGAL_ASSIGN_OR_RETURN(description_, DocField::make(task_.description, "description"));
    if (shots_ > 0) FRUGAL_RETURN_IF_ERROR(load_pool());
    std::vector<Question> questions;
    for (size_t i = 0; i < documents_.rows.size(); ++i) {
      if (options_.limit > 0 && static_cast<int64_t>(i) == options_.limit) break;
      const std::string id = base::str_cat(task_.name, "/", task_.evaluated_split(), "/", i);
      absl::StatusOr<Question> question = make(documents_.rows[i]);
      if (!question.ok()) return base::annotate(question.status(), id);
      question->id = id;
      question->number = static_cast<int64_t>(i);
      questions.push_back(*std::move(question));
    }
    return questions;
  }

 private:
  bool has_choices() const { return own_.choice.is_given(); }

  // The documents that examples are drawn from.
  absl::Status load_pool() {
    const FewShotConfig& shots = task_.fewshot;
    if (shots.split.empty() && shots.has_samples) {
      pool_ = shots.samples;
    } else {
      const std::string& split = example_split(task_);
      if (split == task_.evaluated_split()) {
        pool_ = documents_.rows;
      } else {
        FRUGAL_ASSIGN_OR_RETURN(Documents pool, load_documents(task_, split, options_.folder));
        pool_ = std::move(pool.rows);
      }
    }
    if (shots.indices.empty()) return absl::OkStatus();
    // In the original only the drawing sampler heeds the list.
    if (shots.sampler == "first_n") return absl::OkStatus();
    std::vector<Json> kept;
    for (const int64_t index : shots.indices) {
      if (index >= static_cast<int64_t>(pool_.size()))
        return base::invalid_argument("task '", task_.name, "': fewshot_indices names document ",
                                      index, " of ", pool_.size());
      kept.push_back(pool_[static_cast<size_t>(index)]);
    }
    pool_ = std::move(kept);
    return absl::OkStatus();
  }

  // The examples of one document; itself is not among them where both come from one split.
  absl::StatusOr<std::vector<const Json*>> draw(const Json& document) {
    const auto count = static_cast<size_t>(shots_);
    const bool exclude = task_.fewshot.split == task_.test_split;
    std::vector<const Json*> others;
    for (const Json& row : pool_) {
      if (!exclude || row != document) others.push_back(&row);
    }
    if (others.size() < count ||
        (task_.fewshot.sampler == "default" && exclude && pool_.size() < count + 1))
      return base::invalid_argument(shots_, " examples are asked for, there are ", others.size(),
                                    "; set fewer");
    if (task_.fewshot.sampler == "first_n") {
      others.resize(count);
      return others;
    }
    std::vector<const Json*> drawn;
    for (const size_t index : random_.sample(pool_.size(), exclude ? count + 1 : count)) {
      if (!exclude || pool_[index] != document) drawn.push_back(&pool_[index]);
    }
    if (drawn.size() < count) {  // the document stands in the pool more than once
      drawn.clear();
      for (const size_t index : random_.sample(others.size(), count))
        drawn.push_back(others[index]);
    }
    drawn.resize(count);
    return drawn;
  }

  absl::StatusOr<std::string> optional_text(const DocField& field, const Json& document) const {
    if (!field.is_given()) return std::string();
    return field.text(document, documents_.columns);
  }

  absl::StatusOr<std::string> answer_of(const Json& document) const {
    FRUGAL_ASSIGN_OR_RETURN(Json target,
                            examples_.target.target(document, documents_.columns, has_choices()));
    if (examples_.choice.is_given() && (target.is_number_integer() || target.is_boolean())) {
      FRUGAL_ASSIGN_OR_RETURN(const auto choices,
                              examples_.choice.choices(document, documents_.columns));
      const auto index = choice_of(target, choices);
      if (!index)
        return base::invalid_argument("an example's answer is choice ", target.dump(), " of ",
                                      choices.size());
      return choices[static_cast<size_t>(*index)];
    }
    if (target.is_array() && !target.empty()) target = Json(target[0]);
    if (target.is_string()) return target.get<std::string>();
    return base::invalid_argument("the answer of an example is ", target.dump().substr(0, 100),
                                  ", expected text; write doc_to_target as a template");
  }

  absl::StatusOr<std::string> example(const Json& document) const {
    FRUGAL_ASSIGN_OR_RETURN(std::string text, examples_.text.text(document, documents_.columns));
    FRUGAL_ASSIGN_OR_RETURN(std::string answer, answer_of(document));
    FRUGAL_ASSIGN_OR_RETURN(const std::string prefix, optional_text(examples_.prefix, document));
    const FewShotConfig& shots = task_.fewshot;
    if (answer.empty())
      return prefix.empty() ? text : with_prefix(text, prefix, shots.target_delimiter);
    if (!prefix.empty())
      return with_prefix(text, prefix, shots.target_delimiter) +
             (needs_delimiter(prefix, answer) ? " " : "") + answer + shots.delimiter;
    return text + shots.target_delimiter + answer + shots.delimiter;
  }

  static std::string with_prefix(const std::string& text, const std::string& prefix,
                                 const std::string& delimiter) {
    return text + (needs_delimiter(text, prefix) ? delimiter : "") + prefix;
  }

  absl::StatusOr<std::string> context_of(const Json& document) {
    std::string context;
    if (!task_.description.empty()) {
      FRUGAL_ASSIGN_OR_RETURN(context, description_.text(document, {}));
    }
    if (shots_ > 0) {
      FRUGAL_ASSIGN_OR_RETURN(const std::vector<const Json*> drawn, draw(document));
      for (const Json* one : drawn) {
        FRUGAL_ASSIGN_OR_RETURN(const std::string text, example(*one));
        context += text;
      }
    }
    FRUGAL_ASSIGN_OR_RETURN(const std::string text, own_.text.text(document, documents_.columns));
    FRUGAL_ASSIGN_OR_RETURN(const std::string prefix, optional_text(own_.prefix, document));
    context += prefix.empty() ? text : with_prefix(text, prefix, task_.target_delimiter);
    return context;
  }

  absl::StatusOr<Question> make(const Json& document) {
    Question question;
    question.document = document;
    FRUGAL_ASSIGN_OR_RETURN(question.target,
                            own_.target.target(document, documents_.columns, has_choices()));
    if (task_.type != OutputType::kRolling) {
      FRUGAL_ASSIGN_OR_RETURN(question.context, context_of(document));
    }
    if (has_choices()) {
      FRUGAL_ASSIGN_OR_RETURN(question.choices, own_.choice.choices(document, documents_.columns));
    }
    switch (task_.type) {
      case OutputType::kMultipleChoice:
        add_choices(question);
        break;
      case OutputType::kGenerateUntil:
        return add_references(std::move(question));
      case OutputType::kLogLikelihood:
      case OutputType::kRolling:
        if (!question.target.is_string())
          return base::invalid_argument("doc_to_target gives ",
                                        question.target.dump().substr(0, 100), ", expected text");
        question.continuations = {question.target.get<std::string>()};
        break;
    }
    return question;
  }

  void add_choices(Question& question) const {
    for (const std::string& choice : question.choices)
      question.continuations.push_back(task_.target_delimiter + choice);
    const Json targets =
        question.target.is_array() ? question.target : Json::array({question.target});
    for (const Json& target : targets) {
      const auto index = choice_of(target, question.choices);
      if (index &&
          std::find(question.right.begin(), question.right.end(), *index) == question.right.end())
        question.right.push_back(*index);
    }
  }

  absl::StatusOr<Question> add_references(Question question) const {
    if (has_choices()) {
      const auto index = choice_of(question.target, question.choices);
      if (!index)
        return base::invalid_argument("the answer is choice ", question.target.dump(), " of ",
                                      question.choices.size());
      question.references = {question.choices[static_cast<size_t>(*index)]};
      return question;
    }
    const Json targets =
        question.target.is_array() ? question.target : Json::array({question.target});
    for (const Json& target : targets) question.references.push_back(python_text(target));
    return question;
  }

  const TaskConfig& task_;
  const QuestionOptions& options_;
  int64_t shots_;
  Documents documents_;
  Fields own_, examples_;
  DocField description_;
  std::vector<Json> pool_;
  PythonRandom random_{kFewShotSeed};
};

}  // namespace

absl::StatusOr<std::vector<Question>> make_questions(const TaskConfig& task,
                                                     const QuestionOptions& options) {
  return Builder(task, options).run();
}

}  // namespace frugal::tasks
