// From the text of a template to its tree: Jinja's grammar, less what chat templates do not use.
#pragma once

#include <string_view>

#include "base/status.h"
#include "chat/dialect.h"
#include "chat/syntax.h"

namespace frugal::chat {

// Errors: "line 3, column 7: ..." - InvalidArgument where Jinja refuses, Unimplemented where frugal
// does, ResourceExhausted where it is nested deeper than kMaxSourceDepth or larger than
// kMaxSourceBytes.
absl::StatusOr<Program> parse_program(std::string_view source, const Dialect& dialect = {});

}  // namespace frugal::chat
