// The chat templates of a model as files of its folder.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/status.h"
#include "text/chat_templates.h"

namespace frugal::text {

// Refuses further templates whose names no files could have: they come from lists and keys of
// untrusted files. `origin` names the file for the message.
absl::Status check_template_names(const ChatTemplates& templates, std::string_view origin);

// Writes chat_template.jinja and additional_chat_templates/NAME.jinja, which transformers reads;
// nothing where there are none. Errors: of the names, and of writing.
absl::Status write_chat_templates(const ChatTemplates& templates,
                                  const std::filesystem::path& folder);

}  // namespace frugal::text
