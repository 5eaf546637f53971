// The tokens of a template, with white space taken away as Jinja does it. Where blocks are trimmed
// a newline behind a block goes, and so does what stands before a block on its line; "-" takes all
// white space, "+" leaves it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "chat/dialect.h"
#include "chat/syntax.h"

namespace frugal::chat {

struct Token {
  enum class Kind {
    kData,
    kBlockBegin,
    kBlockEnd,
    kVariableBegin,
    kVariableEnd,
    kName,
    kText,
    kInteger,
    kFloat,
    kOperator,
    kEnd
  };
  Kind kind = Kind::kEnd;
  std::string text;  // of a text: with its escapes resolved
  Position at;
};

// The last token is kEnd. Errors: InvalidArgument "line 3, column 7: ..."; Unimplemented for what
// Jinja has and frugal has not.
absl::StatusOr<std::vector<Token>> tokenize(std::string_view source, const Dialect& dialect = {});

// "line 3, column 7: "
std::string described(Position at);

}  // namespace frugal::chat
