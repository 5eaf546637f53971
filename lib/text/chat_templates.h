// The chat templates of a Hugging Face folder, and the special tokens that they are rendered with.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace frugal::text {

struct ChatTemplates {
  std::vector<std::pair<std::string, std::string>> sources;  // by name; "default" is the model's
  // What templates find beside the conversation: {"bos_token": "<s>", ...}, without absent ones.
  std::map<std::string, std::string> variables;

  // Null: there is none of that name.
  const std::string* find(std::string_view name) const;
  // The one for a conversation, as transformers chooses: "tool_use" where tools are given and it
  // exists, else "default". Null: the model has none. Errors: several, and none of them "default".
  absl::StatusOr<const std::string*> choose(bool with_tools) const;
};

// Reads, as transformers does, chat_template.jinja and additional_chat_templates/*.jinja; where
// there are none, "chat_template" of tokenizer_config.json (one text, or a list with names); and
// where that has none, that of chat_template.json (processors of older models). Absent files are no
// error. Errors: malformed or foreign files (base/file_kind.h).
absl::StatusOr<ChatTemplates> read_chat_templates(const std::filesystem::path& folder);

}  // namespace frugal::text
