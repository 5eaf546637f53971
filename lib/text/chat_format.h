// Conversations of data as the text that a model was taught to read them in: its own chat template.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "chat/template.h"
#include "text/chat_templates.h"
#include "text/dataset.h"
#include "text/records.h"

namespace frugal::text {

// What a record says, before a template.
struct Dialog {
  base::Json messages = base::Json::array();  // objects with "role"; an assistant has the last word
  base::Json tools = nullptr;
};

// A question and its answer, without the spaces that only templates without turns need around them.
Dialog dialog_of(std::string_view prompt, std::string_view completion);

// The field with the record's turns (kConversationFields); null: it has none.
const base::Json* turns_of(const Record& record);

// Turns of {"role", "content", …} or of {"from", "value"}, and "tools" where the record has some (a
// list, or its JSON as text). Turns behind the last answer are left out. Errors: no turn of the
// assistant; what is not of these forms; each with the record's place.
absl::StatusOr<Dialog> dialog_of(const Record& record);

// The instant that strftime_now tells, so that the same data give the same text on every day: the
// one that Llama's templates take where there is no clock, 26 July 2024.
std::tm chat_instant();

class ChatFormat {
 public:
  // `system`: of conversations that do not begin with such a turn; empty: none is added. Errors:
  // the model has no template, or one that is not supported.
  static absl::StatusOr<ChatFormat> create(const ChatTemplates& templates, std::string system);

  // Fills prompt, completion and earlier_answers of `example`, whose id and labels stand. The
  // completion is what the template makes of the last answer, with what ends it; the prompt all
  // before. Labels are scored where the answer begins. Errors: what the template refuses, with the
  // example's id; an answer that cannot be told from the rest.
  absl::Status apply(const Dialog& dialog, Example& example) const;

 private:
  ChatFormat(chat::Template chat, ChatTemplates templates, std::string system)
      : chat_(std::move(chat)), templates_(std::move(templates)), system_(std::move(system)) {}

  absl::StatusOr<std::string> render(const Dialog& dialog, size_t turns, bool ask) const;
  absl::StatusOr<size_t> answer_begin(const Dialog& dialog, size_t turn,
                                      std::string_view whole) const;
  absl::Status find_earlier_answers(const Dialog& dialog, Example& example) const;

  chat::Template chat_;
  ChatTemplates templates_;
  std::string system_;
};

}  // namespace frugal::text
