// Texts from outside in the languages of a model card and of tables: none may end what it stands in
// or become markup. Internal to the room.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace frugal::report {

// A field of CSV (RFC 4180); empty for null.
std::string csv_field(const base::Json& value);

// A scalar of YAML: as it is where every reader takes it for that text, else in double quotes.
std::string yaml_scalar(std::string_view text);

// Text in a line of Markdown, also in a cell of a table: on one line, its marks escaped.
std::string markdown_text(std::string_view text);

// Text as code in a line of Markdown.
std::string markdown_code(std::string_view text);

// One word of a shell.
std::string shell_word(std::string_view text);

// A fenced block of `language`; its fence is longer than any run of backticks inside.
std::string markdown_block(std::string_view language, std::string_view text);

}  // namespace frugal::report
