#include "chat/template.h"

#include <algorithm>

#include "chat/functions.h"
#include "chat/interpreter.h"
#include "chat/parser.h"
#include "chat/syntax.h"

namespace frugal::chat {
namespace {

using base::Json;

constexpr std::string_view kOwnVariables[] = {"messages", "tools", "documents",
                                              "add_generation_prompt"};
// What a message thinks; the first is the name that templates read nowadays.
constexpr const char* kReasoning[] = {"reasoning_content", "thinking", "reasoning"};

// A message as templates see it.
Json prepared(const Json& message) {
  Json kept = Json::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) kept[key] = value;
  }
  const auto name = std::find_if(std::begin(kReasoning), std::end(kReasoning),
                                 [&](const char* key) { return kept.contains(key); });
  if (name == std::end(kReasoning)) return kept;
  const Json reasoning = kept[*name];
  Json made = Json::object();
  made["thinking"] = reasoning;
  for (const auto& [key, value] : kept.items()) made[key] = value;
  made["reasoning_content"] = reasoning;
  return made;
}

absl::Status check_objects(const Json& list, std::string_view what) {
  if (list.is_null()) return absl::OkStatus();
  if (!list.is_array()) return base::invalid_argument(what, " must be a list of objects");
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_object())
      return base::invalid_argument(what, ": number ", i + 1, " is no object");
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> variables_of(const Conversation& conversation) {
  if (!conversation.messages.is_array() || conversation.messages.empty())
    return base::invalid_argument("a conversation needs a list of at least one message");
  FRUGAL_RETURN_IF_ERROR(check_objects(conversation.messages, "messages"));
  FRUGAL_RETURN_IF_ERROR(check_objects(conversation.tools, "tools"));
  FRUGAL_RETURN_IF_ERROR(check_objects(conversation.documents, "documents"));
  if (!conversation.variables.is_object())
    return base::invalid_argument("the variables of a conversation must be an object");
  Json variables = conversation.variables;
  for (const std::string_view name : kOwnVariables) {
    if (variables.contains(name))
      return base::invalid_argument("'", name, "' is given twice, also as a variable");
  }
  Json messages = Json::array();
  for (const Json& message : conversation.messages) messages.push_back(prepared(message));
  variables["messages"] = std::move(messages);
  variables["tools"] = conversation.tools;
  variables["documents"] = conversation.documents;
  variables["add_generation_prompt"] = conversation.add_generation_prompt;
  return variables;
}

// What each name of the program means at first.
absl::StatusOr<std::vector<std::optional<Value>>> values_of(const Program& program,
                                                            const Json& variables,
                                                            const RenderOptions& options,
                                                            Workspace& workspace) {
  std::vector<std::optional<Value>> values;
  for (const std::string& name : program.names) {
    std::optional<Value>& value = values.emplace_back();
    const auto given = variables.find(name);
    if (given == variables.end()) {
      FRUGAL_ASSIGN_OR_RETURN(value, find_function(workspace, name, options.now));
    } else {
      FRUGAL_ASSIGN_OR_RETURN(value, workspace.from_json(*given));
    }
  }
  return values;
}

}  // namespace

Template::Template(std::unique_ptr<Program> program, std::string_view name)
    : program_(std::move(program)), name_(name) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

bool Template::marks_generation() const { return program_->marks_generation; }

absl::Status Template::named(const absl::Status& status) const {
  return base::annotate(status, base::str_cat(program_->dialect.kind, " '", name_, "'"));
}

absl::StatusOr<Template> Template::parse(std::string_view source, std::string_view name,
                                         const Dialect& dialect) {
  absl::StatusOr<Program> program = parse_program(source, dialect);
  if (!program.ok())
    return base::annotate(program.status(), base::str_cat(dialect.kind, " '", name, "'"));
  return Template(std::make_unique<Program>(*std::move(program)), name);
}

absl::StatusOr<Rendered> Template::render(const Conversation& conversation,
                                          const RenderOptions& options) const {
  const absl::StatusOr<Json> variables = variables_of(conversation);
  if (!variables.ok()) return named(variables.status());
  return render_variables(*variables, options);
}

absl::StatusOr<Rendered> Template::render_variables(const Json& variables,
                                                    const RenderOptions& options) const {
  Workspace workspace(options.limits);
  auto values = values_of(*program_, variables, options, workspace);
  if (!values.ok()) return named(values.status());
  absl::StatusOr<Rendered> rendered = run_program(*program_, workspace, *std::move(values));
  if (!rendered.ok()) return named(rendered.status());
  return rendered;
}

}  // namespace frugal::chat
