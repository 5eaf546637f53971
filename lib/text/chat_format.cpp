#include "text/chat_format.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace frugal::text {
namespace {

using base::Json;

constexpr std::string_view kAssistant = "assistant";

bool answers(const Json& message) { return message.at("role") == kAssistant; }

// The roles of ShareGPT's "from", which many datasets have.
std::string_view role_of(std::string_view from) {
  constexpr std::pair<std::string_view, std::string_view> kRoles[] = {
      {"human", "user"},     {"user", "user"},     {"gpt", kAssistant}, {"assistant", kAssistant},
      {"model", kAssistant}, {"system", "system"}, {"tool", "tool"},    {"observation", "tool"}};
  for (const auto& [name, role] : kRoles) {
    if (name == from) return role;
  }
  return "";
}

absl::StatusOr<Json> message_of_pair(const Json& turn, const std::string& where) {
  FRUGAL_ASSIGN_OR_RETURN(const auto from, base::json_get<std::string>(turn, "from", where));
  FRUGAL_ASSIGN_OR_RETURN(std::string value, base::json_get<std::string>(turn, "value", where));
  const std::string_view role = role_of(from);
  if (role.empty()) {
    return base::invalid_argument(where, ": 'from' is '", from,
                                  "', expected human, gpt, system or tool");
  }
  return Json{{"role", role}, {"content", std::move(value)}};
}

absl::StatusOr<Json> message_of(const Json& turn, bool pairs, const std::string& where) {
  if (!turn.is_object()) return base::invalid_argument(where, ": expected an object with a role");
  if (pairs) return message_of_pair(turn, where);
  FRUGAL_RETURN_IF_ERROR(base::json_get<std::string>(turn, "role", where).status());
  return turn;
}

// A list, its JSON as text, or null.
absl::StatusOr<Json> tools_of(const Record& record) {
  const auto found = record.json.find("tools");
  if (found == record.json.end() || found->is_null()) return nullptr;
  Json tools = *found;
  if (tools.is_string()) {
    if (base::trim(tools.get<std::string>()).empty()) return nullptr;
    FRUGAL_ASSIGN_OR_RETURN(tools, base::parse_json(found->get<std::string>(),
                                                    base::str_cat(record.where, ": 'tools'")));
  }
  if (!tools.is_array())
    return base::invalid_argument(record.where, ": 'tools' is no list of functions");
  return tools.empty() ? Json(nullptr) : tools;
}

std::string_view common_start(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  return a.substr(0, static_cast<size_t>(
                         std::mismatch(a.begin(), a.begin() + most, b.begin()).first - a.begin()));
}

// Labels are scored behind the prompt: what the template puts before an answer (an empty thought)
// goes into it.
absl::Status place_labels(Example& example) {
  if (example.label_texts.empty()) return absl::OkStatus();
  const auto bare = [](std::string& text) { text = std::string(base::trim(text)); };
  bare(example.label);
  for (std::string& label : example.label_texts) bare(label);
  const size_t at = example.completion.find(example.label);
  if (at == std::string::npos || example.label.empty()) {
    return base::invalid_argument("the chat template does not show the label '", example.label,
                                  "' as it is, so labels cannot be scored through it");
  }
  example.prompt += example.completion.substr(0, at);
  example.completion.erase(0, at);
  return absl::OkStatus();
}

}  // namespace

std::tm chat_instant() {
  std::tm when{};
  when.tm_year = 2024 - 1900;
  when.tm_mon = 6;
  when.tm_mday = 26;
  return when;
}

Dialog dialog_of(std::string_view prompt, std::string_view completion) {
  Dialog dialog;
  dialog.messages.push_back({{"role", "user"}, {"content", std::string(base::trim(prompt))}});
  dialog.messages.push_back(
      {{"role", kAssistant}, {"content", std::string(base::trim(completion))}});
  return dialog;
}

const Json* turns_of(const Record& record) {
  if (!record.json.is_object()) return nullptr;
  for (const std::string_view name : kConversationFields) {
    if (const auto found = record.json.find(name); found != record.json.end()) return &*found;
  }
  return nullptr;
}

absl::StatusOr<Dialog> dialog_of(const Record& record) {
  const Json* const turns = turns_of(record);
  if (turns == nullptr || !turns->is_array() || turns->empty()) {
    return base::invalid_argument(record.where,
                                  ": no conversation: expected a list of turns under 'messages', "
                                  "each with 'role' and 'content'; found ",
                                  describe_fields(record));
  }
  const bool pairs = turns->front().is_object() && turns->front().contains("from");
  Dialog dialog;
  size_t answered = 0;
  for (size_t i = 0; i < turns->size(); ++i) {
    FRUGAL_ASSIGN_OR_RETURN(
        Json message, message_of((*turns)[i], pairs, base::str_cat(record.where, ": turn ", i)));
    dialog.messages.push_back(std::move(message));
    if (answers(dialog.messages.back())) answered = i + 1;
  }
  if (answered == 0) {
    return base::invalid_argument(record.where, ": none of the ", turns->size(),
                                  " turns is the assistant's, so there is nothing to learn or "
                                  "score");
  }
  auto& messages = dialog.messages.get_ref<Json::array_t&>();
  messages.resize(answered);
  FRUGAL_ASSIGN_OR_RETURN(dialog.tools, tools_of(record));
  return dialog;
}

absl::StatusOr<ChatFormat> ChatFormat::create(const ChatTemplates& templates, std::string system) {
  FRUGAL_ASSIGN_OR_RETURN(const std::string* const source, templates.choose(/*with_tools=*/false));
  if (source == nullptr) {
    return base::invalid_argument(
        "`chat: true` needs the model's chat template, and it has none; leave `chat` out and write "
        "the form of a turn into `prompt` and `completion`, or put a chat_template.jinja beside "
        "the weights");
  }
  FRUGAL_ASSIGN_OR_RETURN(chat::Template chat,
                          chat::Template::parse(*source, "the model's chat template"));
  return ChatFormat(std::move(chat), templates, std::move(system));
}

// The first `turns` messages; `ask`: the model is to speak next.
absl::StatusOr<std::string> ChatFormat::render(const Dialog& dialog, size_t turns, bool ask) const {
  chat::Conversation conversation{.tools = dialog.tools, .add_generation_prompt = ask};
  for (const auto& [name, value] : templates_.variables) conversation.variables[name] = value;
  const Json& messages = dialog.messages;
  if (!system_.empty() && (messages.empty() || messages.front().at("role") != "system"))
    conversation.messages.push_back({{"role", "system"}, {"content", system_}});
  for (size_t i = 0; i < turns; ++i) conversation.messages.push_back(messages[i]);
  FRUGAL_ASSIGN_OR_RETURN(chat::Rendered rendered,
                          chat_.render(conversation, {.now = chat_instant()}));
  return std::move(rendered.text);
}

// Where in `whole`, the text of all turns up to `turn`, its answer begins. A prompt that opens a
// thought, which no earlier answer keeps, counts without what it opens.
absl::StatusOr<size_t> ChatFormat::answer_begin(const Dialog& dialog, size_t turn,
                                                std::string_view whole) const {
  FRUGAL_ASSIGN_OR_RETURN(const std::string asked, render(dialog, turn, true));
  if (whole.starts_with(asked)) return asked.size();
  FRUGAL_ASSIGN_OR_RETURN(const std::string silent, render(dialog, turn, false));
  if (whole.starts_with(silent)) return common_start(whole, asked).size();
  return base::invalid_argument(
      "the chat template writes the turns before an answer differently once the answer is there; "
      "the answer cannot be told from them");
}

// Answers that the template writes differently once others follow (without their thoughts) are no
// text that the model says: they do not count.
absl::Status ChatFormat::find_earlier_answers(const Dialog& dialog, Example& example) const {
  for (size_t turn = 0; turn + 1 < dialog.messages.size(); ++turn) {
    if (!answers(dialog.messages[turn])) continue;
    FRUGAL_ASSIGN_OR_RETURN(const std::string whole, render(dialog, turn + 1, false));
    if (!example.prompt.starts_with(whole)) continue;
    FRUGAL_ASSIGN_OR_RETURN(const size_t begin, answer_begin(dialog, turn, whole));
    example.earlier_answers.emplace_back(begin, whole.size());
  }
  return absl::OkStatus();
}

absl::Status ChatFormat::apply(const Dialog& dialog, Example& example) const {
  const auto fill = [&]() -> absl::Status {
    const size_t turns = dialog.messages.size();
    FRUGAL_ASSIGN_OR_RETURN(std::string whole, render(dialog, turns, false));
    FRUGAL_ASSIGN_OR_RETURN(const size_t begin, answer_begin(dialog, turns - 1, whole));
    example.chat = true;
    example.completion = whole.substr(begin);
    whole.resize(begin);
    example.prompt = std::move(whole);
    FRUGAL_RETURN_IF_ERROR(find_earlier_answers(dialog, example));
    return place_labels(example);
  };
  return base::annotate(fill(), example.id);
}

}  // namespace frugal::text
